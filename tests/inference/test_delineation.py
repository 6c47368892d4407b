from pathlib import Path

import numpy as np
import pytest

from inference.beats import BEAT_SAMPLES, R_INDEX, find_beats
from inference.delineation import Waves, delineate
from inference.diagnostic import DIAGNOSTIC_RATE
from tests.inference.ecg_files import read


def bump(centre_ms: float, width_ms: float, height: float) -> np.ndarray:
    """A period of a raised cosine over a second at DIAGNOSTIC_RATE, R at index R_INDEX."""
    t = (np.arange(BEAT_SAMPLES) - R_INDEX) * 1000 / DIAGNOSTIC_RATE
    inside = np.abs(t - centre_ms) < width_ms / 2
    return np.where(inside, height * 0.5 * (1 + np.cos(2 * np.pi * (t - centre_ms) / width_ms)), 0.0)


def drawn(qrs_ms: float = 90, p_centre: float | None = -150, t_end: float = 340) -> Waves:
    """Marks of a drawn beat whose wave ends are known."""
    beat = bump(0, qrs_ms, 1.5) + bump(t_end - 80, 160, 0.4)
    if p_centre is not None:
        beat += bump(p_centre, 100, 0.15)
    return delineate(np.tile(beat, (12, 1)).astype(np.float32), R_INDEX, 0.9)


@pytest.mark.parametrize("qrs_ms", [80, 110, 150])
def test_qrs_is_as_long_as_drawn(qrs_ms: float) -> None:
    waves = drawn(qrs_ms)
    assert (waves.qrs_off - waves.qrs_on) * 2 == pytest.approx(qrs_ms, abs=14)


@pytest.mark.parametrize("centre", [-130, -170, -220])
def test_p_is_where_it_was_drawn(centre: float) -> None:
    waves = drawn(p_centre=centre)
    assert (waves.p_peak - waves.r) * 2 == pytest.approx(centre, abs=10)
    assert (waves.p_on - waves.r) * 2 == pytest.approx(centre - 50, abs=24)
    assert waves.p_ratio > 6


def test_without_a_p_wave_none_stands_out() -> None:
    assert drawn(p_centre=None).p_ratio < 3.5


@pytest.mark.parametrize("t_end", [300, 360, 420])
def test_t_ends_where_its_steepest_tangent_meets_the_baseline(t_end: float) -> None:
    waves = drawn(t_end=t_end)
    # A raised cosine's steepest tangent meets zero (1/4 - 1/pi/2) of its width before its end.
    assert (waves.t_end - waves.r) * 2 == pytest.approx(t_end - 160 * (0.25 - 0.5 / np.pi), abs=14)


def test_marks_are_in_the_order_of_the_cardiac_cycle(examples: Path) -> None:
    waves = find_beats(read(examples / "00010_hr")).waves
    assert waves is not None
    marks = [waves.p_on, waves.p_peak, waves.p_off, waves.qrs_on, waves.r, waves.qrs_off, waves.t_peak, waves.t_end]
    assert marks == sorted(marks)
    assert min(marks) > 0


def test_the_pr_segment_is_the_zero_level(examples: Path) -> None:
    waves = find_beats(read(examples / "00184_hr")).waves
    assert waves is not None
    assert np.abs(waves.beat[:, waves.qrs_on - 6 : waves.qrs_on + 1].mean(axis=1)).max() < 1e-5


def test_an_unknown_rr_interval_is_allowed() -> None:
    beat = np.tile(bump(0, 90, 1.5) + bump(260, 160, 0.4), (12, 1)).astype(np.float32)
    waves = delineate(beat, R_INDEX, float("nan"))
    assert waves.t_end > waves.r
