import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample

from inference.recording import LEADS, Recording
from tests.training.validation.sets import recording_of
from training.datasets.entry import Entry
from training.validation.copies import (
    SAME_RECORDING,
    SIGNATURE_SIZE,
    alike_across_splits,
    copies_of_each,
    fingerprint,
    no_signature,
    signature,
    splits_of_each,
)


@pytest.fixture
def recording(healthy: tuple[Entry, ...]) -> Recording:
    return recording_of(healthy[0])


def test_the_fingerprint_is_that_of_the_independent_leads_whatever_zero_or_nan_looks_like(recording: Recording) -> None:
    one, other = recording.signal.copy(), recording.signal.copy()
    one[0, :2], other[0, :2] = (0.0, np.nan), (-0.0, -np.nan)
    other[LEADS.index("aVR")] += 0.001
    assert fingerprint(Recording(one, 100)) == fingerprint(Recording(other, 100))


def test_one_changed_sample_or_another_rate_is_another_fingerprint(recording: Recording) -> None:
    changed = recording.signal.copy()
    changed[5 + 3, 77] += 0.001
    prints = {fingerprint(r) for r in (recording, Recording(changed, 100), Recording(recording.signal, 125))}
    assert len(prints) == 3


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def test_a_recording_rendered_again_keeps_its_signature(healthy: tuple[Entry, ...]) -> None:
    """At another rate, gain and resolution; and no two of the real recordings are as alike as that."""
    signals = [recording_of(e).signal for e in healthy]
    rendered = [np.round(1.2 * resample(s, 5000, axis=1), 3).astype(np.float32) for s in signals]
    same = [distance(signature(s, 100), signature(r, 500)) for s, r in zip(signals, rendered, strict=True)]
    assert max(same) < SAME_RECORDING
    all_of_them = [signature(s, 100) for s in signals]
    other = [distance(a, b) for i, a in enumerate(all_of_them) for b in all_of_them[:i]]
    assert min(other) > SAME_RECORDING


def test_a_rate_that_does_not_divide_the_steps_gives_a_signature_too(recording: Recording) -> None:
    again = resample(recording.signal, 3600, axis=1).astype(np.float32)
    assert distance(signature(again, 360), signature(recording.signal, 100)) < SAME_RECORDING
    assert signature(recording.signal[:, :250], 100).shape == (SIGNATURE_SIZE,)


def test_a_silent_lead_gives_a_finite_signature(recording: Recording) -> None:
    silent = recording.signal.copy()
    silent[0] = 0
    assert np.isfinite(signature(silent, 100)).all()


def test_copies_are_counted_within_a_split_and_splits_across_them() -> None:
    keys, splits = ["a", "a", "a", "b", "", ""], ["train", "train", "val", "val", "train", "val"]
    assert copies_of_each(keys, splits) == [2, 2, 1, 1, 1, 1]
    assert splits_of_each(keys, splits) == [2, 2, 2, 1, 1, 1]


def test_only_what_resembles_a_training_recording_is_told(recording: Recording) -> None:
    mine, none = signature(recording.signal, 100), no_signature()
    far = mine + np.float32(1)
    assert alike_across_splits([mine, mine, far, none], ["train", "val", "test", "val"]) == [False, True, False, False]
    assert alike_across_splits([mine, mine], ["val", "test"]) == [False, False]
    assert alike_across_splits([none, mine], ["train", "val"]) == [False, False]
    assert alike_across_splits([], []) == []
