import json

import numpy as np
import pytest

from inference.labels import Superclass
from training.bootstrap import evaluate_once
from training.calibration import Calibration, fit_temperature
from training.ranking import auc


def _sample(recordings: int = 2000, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from logits, (n, 5) each."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.5, (recordings, 5))
    return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32), logits


def test_a_distortion_is_found_and_undone() -> None:
    labels, logits = _sample()
    found = fit_temperature(labels, 2 * logits + 1)
    assert found.temperature == pytest.approx([2] * 5, rel=0.15)
    assert found.bias == pytest.approx([-0.5] * 5, abs=0.17)
    assert np.abs(found.apply(2 * logits + 1) - logits).mean() < 0.15
    losses = zip(found.log_loss, found.before, strict=True)
    assert all(after is not None and before is not None and after < before for after, before in losses)


def test_calibrated_logits_stay_as_they_are_where_no_change_helps_on_held_out_recordings() -> None:
    labels, logits = _sample(60)
    found = fit_temperature(labels, logits)
    kept = [i for i in range(5) if (found.temperature[i], found.bias[i]) == (1.0, 0.0)]
    assert kept, "of five calibrated classes some must stay"
    assert all(found.log_loss[i] == found.before[i] for i in kept)


def test_unknown_labels_do_not_count() -> None:
    labels, logits = _sample()
    masked, wrong = labels.copy(), logits.copy()
    masked[::2] = np.nan
    wrong[::2] = 40.0
    expected = fit_temperature(labels[1::2], 3 * logits[1::2])
    assert fit_temperature(masked, 3 * wrong).temperature == pytest.approx(expected.temperature, rel=0.02)


def test_a_class_without_positives_is_left_alone_and_has_no_log_loss() -> None:
    labels, logits = _sample(200)
    labels[:, 3] = 0
    found = fit_temperature(labels, logits * 3)
    assert (found.temperature[3], found.bias[3], found.log_loss[3]) == (1.0, 0.0, None)


def test_no_auc_changes() -> None:
    labels, logits = _sample(300)
    calibrated = fit_temperature(labels, 3 * logits - 1).apply(3 * logits - 1)
    for column in range(5):
        assert evaluate_once(auc(labels[:, column], calibrated[:, column]), 300) == pytest.approx(
            evaluate_once(auc(labels[:, column], logits[:, column]), 300)
        )


def test_the_recordings_of_a_patient_are_held_out_together() -> None:
    """Copies of ten recordings: a fit that saw a patient's other copies would look better than it is."""
    labels, logits = _sample(12)
    copies = np.repeat(np.arange(12), 50)
    apart = fit_temperature(labels[copies], 3 * logits[copies], [str(i) for i in copies])
    leaking = fit_temperature(labels[copies], 3 * logits[copies])
    losses = [(a, b) for a, b in zip(apart.log_loss, leaking.log_loss, strict=True) if a is not None and b is not None]
    assert sum(a for a, _ in losses) > sum(b for _, b in losses)


def test_it_survives_json_by_superclass() -> None:
    labels, logits = _sample(200)
    found = fit_temperature(labels, 2 * logits)
    text = json.dumps(found.to_json())
    assert list(json.loads(text)) == list(Superclass)
    assert Calibration.from_json(json.loads(text)) == found
