from pathlib import Path

import numpy as np
import pytest

from inference.beats import BEAT_SAMPLES, R_INDEX, find_beats, rhythm_statistics
from inference.recording import Recording
from tests.inference.ecg_files import one_rhythm, read, stems


@pytest.fixture(scope="module")
def normal(examples: Path) -> Recording:
    return read(examples / "00010_hr")


def test_every_beat_of_a_real_recording_is_found_at_its_r_peak(normal: Recording) -> None:
    beats = find_beats(normal)
    # Read off the trace: the summits of lead II.
    lead = normal.signal[1]
    summits = [i for i in range(50, 4950) if lead[i] == lead[i - 50 : i + 50].max() and lead[i] > 0.6 * lead.max()]
    inner = [r for r in beats.r_peaks if 50 <= r < 4950]
    assert len(inner) == len(summits)
    assert np.abs(np.array(inner) - summits).max() <= 10


def test_the_median_beat_has_r_in_its_place(normal: Recording) -> None:
    beats = find_beats(normal)
    assert beats.median.shape == (12, BEAT_SAMPLES)
    assert beats.median.dtype == np.float32
    size = np.abs(beats.median).sum(axis=0)
    assert abs(int(np.argmax(size)) - R_INDEX) <= 8


def test_beats_do_not_depend_on_the_sampling_rate(normal: Recording) -> None:
    fast, slow = find_beats(normal), find_beats(Recording(normal.signal[:, ::2].copy(), 250.0))
    assert fast.count == slow.count
    assert np.abs(fast.r_times - slow.r_times).max() < 0.012
    assert fast.rhythm.median == pytest.approx(slow.rhythm.median, abs=0.002)


def test_r_times_are_r_peaks_in_seconds(normal: Recording) -> None:
    beats = find_beats(normal)
    np.testing.assert_allclose(beats.r_times * beats.fs, beats.r_peaks)
    assert beats.count == len(beats.r_peaks) == len(beats.typical) == len(beats.similarity)


def test_an_ectopic_beat_is_found_but_does_not_enter_the_median(normal: Recording) -> None:
    clean = find_beats(normal)
    signal = normal.signal.copy()
    r = int(clean.r_peaks[4])
    wide = np.hanning(140).astype(np.float32) * 2
    signal[:, r - 70 : r + 70] = wide * np.where(np.arange(12) % 2, 1, -1)[:, None]
    beats = find_beats(Recording(signal, 500.0))
    assert beats.count == clean.count
    assert not beats.typical[4]
    assert beats.typical.sum() == clean.typical.sum() - 1
    assert np.abs(beats.median - clean.median).mean() < 0.01


def test_baseline_wander_does_not_reach_the_median_beat(normal: Recording) -> None:
    clean = find_beats(normal)
    wander = 0.5 * np.sin(2 * np.pi * 0.25 * np.arange(5000) / 500)
    beats = find_beats(Recording((normal.signal + wander).astype(np.float32), 500.0))
    assert beats.waves is not None
    assert clean.waves is not None
    st = slice(clean.waves.qrs_off, clean.waves.qrs_off + 40)
    assert np.abs(beats.waves.beat[:, st] - clean.waves.beat[:, st]).max() < 0.05


def test_invalid_samples_are_bridged(normal: Recording) -> None:
    signal = normal.signal.copy()
    signal[:, ::40] = np.nan
    signal[7] = np.nan
    beats = find_beats(Recording(signal, 500.0))
    assert beats.count == find_beats(normal).count
    assert np.isfinite(beats.median).all()


@pytest.mark.parametrize("samples", [1, 2, 7, 120, 300])
def test_a_scrap_of_signal_never_raises(normal: Recording, samples: int) -> None:
    beats = find_beats(Recording(normal.signal[:, :samples].copy(), 500.0))
    assert np.isfinite(beats.median).all()


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros((12, 5000)),
        np.full((12, 5000), 3.0),
        np.full((12, 5000), np.nan),
        np.random.default_rng(0).normal(0, 0.3, (12, 5000)),
    ],
    ids=["zeros", "constant", "invalid", "white noise"],
)
def test_what_is_no_ecg_has_no_beats(signal: np.ndarray) -> None:
    beats = find_beats(Recording(signal.astype(np.float32), 500.0))
    assert beats.count == 0
    assert beats.waves is None
    assert np.isnan(beats.rhythm.median)
    assert beats.median.shape == (12, BEAT_SAMPLES)
    assert not beats.median.any()


def test_a_tall_t_wave_is_not_a_beat(normal: Recording) -> None:
    clean = find_beats(normal)
    signal = normal.signal.copy()
    for r in clean.r_peaks:
        bump = slice(r + 80, min(r + 230, 5000))
        signal[:, bump] += (0.8 * np.hanning(150)).astype(np.float32)[: bump.stop - bump.start]
    assert find_beats(Recording(signal, 500.0)).count == clean.count


def test_a_long_recording_is_found_beat_by_beat(normal: Recording) -> None:
    r = find_beats(normal).r_peaks
    beats = find_beats(one_rhythm(normal, int(r[2]) - 100, int(r[3]) - 100, 60.0))
    assert beats.count == pytest.approx(60 / ((r[3] - r[2]) / 500), abs=1)
    assert beats.typical.all()


def test_rhythm_statistics_are_those_of_the_task_force() -> None:
    statistics = rhythm_statistics([0.8, 1.0, 0.9])
    assert statistics.median == pytest.approx(0.9)
    assert statistics.mean == pytest.approx(0.9)
    assert statistics.sdnn == pytest.approx(0.1)
    assert statistics.rmssd == pytest.approx(np.sqrt((0.2**2 + 0.1**2) / 2))
    assert (statistics.shortest, statistics.longest) == (0.8, 1.0)


def test_one_interval_has_a_median_but_no_variability() -> None:
    statistics = rhythm_statistics([0.8])
    assert statistics.median == 0.8
    assert np.isnan(statistics.sdnn)
    assert np.isnan(statistics.rmssd)


def test_nearly_every_real_recording_has_a_plausible_rhythm(shared_data: Path) -> None:
    chosen = stems(shared_data, "filename_hr")[::10]
    rates = np.array([60 / find_beats(read(stem)).rhythm.median for stem in chosen])
    assert len(chosen) > 40
    assert ((rates > 30) & (rates < 170)).all()
