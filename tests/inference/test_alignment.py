import numpy as np
import pytest

from inference.alignment import aligned
from inference.diagnostic import DETECTION_RATE

RR = 0.8


def complex_at(instants: np.ndarray, seconds: float = 10.0, lead_signs: int = 1) -> np.ndarray:
    """QRS band (8, n) at DETECTION_RATE: one wavelet at each instant (s), the samples in the middle of their time."""
    t = (np.arange(round(seconds * DETECTION_RATE)) + 0.5) / DETECTION_RATE
    wave = sum(np.exp(-(((t - instant) / 0.025) ** 2)) * np.cos(2 * np.pi * 14 * (t - instant)) for instant in instants)
    signs = np.where(np.arange(8) % 2, lead_signs, 1)[:, np.newaxis]
    return np.asarray(np.arange(1, 9)[:, np.newaxis] / 8 * signs * wave, np.float32)


def roughly(instants: np.ndarray) -> np.ndarray:
    """The nearest samples, some 10 ms off."""
    off = np.random.default_rng(1).integers(-2, 3, len(instants))
    return np.rint(instants * DETECTION_RATE - 0.5).astype(np.intp) + off


def test_beats_are_placed_between_the_samples() -> None:
    instants = 0.5 + RR * np.arange(11) + np.random.default_rng(0).uniform(-0.05, 0.05, 11)
    positions, similarity, typical = aligned(complex_at(instants), roughly(instants))
    assert typical.all()
    assert (similarity > 0.9).all()
    np.testing.assert_allclose((positions + 0.5) / DETECTION_RATE, instants, atol=0.0025)


def test_a_beat_of_another_shape_is_not_typical() -> None:
    instants = 0.5 + RR * np.arange(11)
    qrs = complex_at(np.delete(instants, 4)) + complex_at(instants[4:5], lead_signs=-1)
    _, similarity, typical = aligned(qrs, roughly(instants))
    assert np.flatnonzero(~typical).tolist() == [4]
    assert similarity[4] < 0.8


def test_what_stands_at_the_very_end_and_looks_like_no_beat_is_dropped() -> None:
    instants = np.array([0.5, 1.3, 2.1, 2.9, 3.95])
    qrs = complex_at(instants[:-1], seconds=4.0) + complex_at(instants[-1:], seconds=4.0, lead_signs=-1)
    assert len(aligned(qrs, roughly(instants))[0]) == 4


@pytest.mark.parametrize("beats", [1, 2])
def test_a_single_beat_is_its_own_template(beats: int) -> None:
    instants = 0.5 + RR * np.arange(beats)
    _, similarity, typical = aligned(complex_at(instants, seconds=2.5), roughly(instants))
    assert typical.all()
    np.testing.assert_allclose(similarity, 1, atol=0.05)
