import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from inference.labels import Superclass
from training.scores import assess, class_auc, macro_auc

THRESHOLDS = dict.fromkeys(Superclass, 0.5)


def _random(recordings: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = (rng.random((recordings, 5)) < 0.4).astype(np.float32)
    return labels, (0.4 * labels + rng.random((recordings, 5))).astype(np.float32) / 1.4


def test_the_auc_is_that_of_scikit_learn_also_with_ties() -> None:
    labels, probabilities = _random()
    for given in (probabilities, probabilities.round(1)):
        expected = roc_auc_score(labels, given, average=None)
        assert [class_auc(labels, given, c) for c in Superclass] == pytest.approx(expected)
        assert macro_auc(labels, given) == pytest.approx(roc_auc_score(labels, given))


def test_the_macro_auc_leaves_out_classes_without_both_kinds() -> None:
    labels, probabilities = _random()
    labels[:, 4] = 0
    four = [class_auc(labels, probabilities, c) for c in list(Superclass)[:4]]
    assert macro_auc(labels, probabilities) == pytest.approx(np.mean(four))
    with pytest.raises(ValueError, match="no class"):
        macro_auc(np.zeros_like(labels), probabilities)


def test_more_recordings_give_a_narrower_interval_around_the_value() -> None:
    labels, probabilities = _random(400)
    few = assess(labels[:100], probabilities[:100], THRESHOLDS).macro_auc
    many = assess(labels, probabilities, THRESHOLDS).macro_auc
    assert few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low


def test_the_share_above_the_goal_is_none_for_a_poor_model_and_all_for_a_perfect_one() -> None:
    labels, probabilities = _random(400)
    mixed = [probabilities + np.float32(gain) * labels for gain in (0.0, 1.0)]
    assert [assess(labels, given, THRESHOLDS).share_above_goal for given in mixed] == [0.0, 1.0]


def test_two_recordings_of_each_patient_count_as_one_patient() -> None:
    labels, probabilities = _random(100)
    twice = assess(
        np.tile(labels, (2, 1)), np.tile(probabilities, (2, 1)), THRESHOLDS, [str(i % 100) for i in range(200)]
    )
    once = assess(labels, probabilities, THRESHOLDS)
    assert (twice.recordings, twice.patients, once.patients) == (200, 100, 100)
    assert twice.macro_auc.high - twice.macro_auc.low == pytest.approx(
        once.macro_auc.high - once.macro_auc.low, rel=0.1
    )


def test_f1_is_that_of_scikit_learn() -> None:
    labels, probabilities = _random()
    found = assess(labels, probabilities, THRESHOLDS).classes
    expected = f1_score(labels, probabilities >= 0.5, average=None)
    assert [scores.f1.value for scores in found.values() if scores.f1] == pytest.approx(list(expected))


def test_unknown_labels_count_for_nothing_in_any_score() -> None:
    labels, probabilities = _random()
    masked = labels.copy()
    masked[::2, 1] = np.nan
    alone = assess(labels[1::2], probabilities[1::2], THRESHOLDS).classes[Superclass.MI]
    found = assess(masked, probabilities, THRESHOLDS).classes[Superclass.MI]
    assert (found.recordings, found.positives) == (100, alone.positives)
    for name in ("auc", "average_precision", "f1", "sensitivity", "specificity", "brier", "calibration_error"):
        assert getattr(found, name).value == pytest.approx(getattr(alone, name).value), name


def test_sensitivity_and_specificity_are_those_of_the_threshold() -> None:
    labels = np.zeros((4, 5), np.float32)
    labels[:2] = 1
    probabilities = np.full((4, 5), 0.1, np.float32)
    probabilities[[0, 3]] = 0.5  # one of two positives and one of two negatives reach the threshold
    scores = assess(labels, probabilities, THRESHOLDS).classes[Superclass.CD]
    assert scores.positives == 2
    assert scores.sensitivity is not None
    assert scores.specificity is not None
    assert (scores.sensitivity.value, scores.specificity.value) == (0.5, 0.5)


def test_a_class_without_positives_has_no_auc_and_no_sensitivity() -> None:
    labels, probabilities = _random()
    labels[:, 0] = 0
    scores = assess(labels, probabilities, THRESHOLDS).classes[Superclass.NORM]
    assert (scores.positives, scores.auc, scores.sensitivity) == (0, None, None)
