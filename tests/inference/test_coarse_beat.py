from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import find_peaks

from inference.coarse_beat import BEFORE_R, find_coarse_beats, to_grid
from inference.formats import read


@pytest.fixture(scope="module")
def signal(examples: Path) -> NDArray[np.float32]:
    return read(examples / "00010_hr.hea").signal


def test_the_grid_is_the_mean_of_neighbours() -> None:
    grid, rate = to_grid(np.tile(np.arange(9, dtype=np.float32), (12, 1)), 500)
    assert rate == 125
    np.testing.assert_allclose(grid[0], [1.5, 5.5])


def test_a_slow_recording_is_its_own_grid() -> None:
    signal = np.random.default_rng(0).normal(size=(12, 100)).astype(np.float32)
    grid, rate = to_grid(signal, 100)
    assert rate == 100
    np.testing.assert_array_equal(grid, signal)


@pytest.mark.parametrize("step", [1, 2, 5])
def test_every_beat_of_a_real_recording_is_counted(signal: NDArray[np.float32], step: int) -> None:
    grid, rate = to_grid(signal[:, ::step], 500 / step)
    beats = find_coarse_beats(grid, rate, np.diff(grid, axis=1))
    lead_one = signal[0] - signal[0].mean()
    r_waves, _ = find_peaks(lead_one, prominence=0.6 * np.ptp(lead_one), distance=150)
    assert beats.count == len(r_waves)
    assert beats.contrast > 5


def test_the_beat_has_its_qrs_where_it_says(signal: NDArray[np.float32]) -> None:
    grid, rate = to_grid(signal, 500)
    beat = find_coarse_beats(grid, rate, np.diff(grid, axis=1)).beat
    assert beat is not None
    steepest = int(np.abs(np.diff(beat, axis=1)).sum(axis=0).argmax())
    assert abs(steepest - BEFORE_R * rate) < 0.06 * rate
    np.testing.assert_allclose(beat.mean(axis=1), 0, atol=1e-5)


def test_a_flat_signal_has_no_beats() -> None:
    grid = np.zeros((12, 1250), np.float32)
    beats = find_coarse_beats(grid, 125, np.diff(grid, axis=1))
    assert (beats.contrast, beats.count, beats.beat) == (0, 0, None)
