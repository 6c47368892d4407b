import csv
from pathlib import Path

import numpy as np
import pytest

from inference.beats import find_beats
from inference.measurements import Measurements, frontal_axis, measure
from inference.recording import Recording
from tests.inference.ecg_files import one_rhythm, read

LENGTHS = (2.5, 5.0, 7.3, 10.0, 10.24, 30.0)


def measured(recording: Recording) -> Measurements:
    return measure(find_beats(recording))


def vector(degrees: float) -> np.ndarray:
    """Net values (12,) of a frontal vector of 1 mV in this direction."""
    one = np.cos(np.radians(degrees))
    two = np.cos(np.radians(degrees - 60))
    leads = np.zeros(12, np.float32)
    leads[:3] = one, two, two - one
    return leads


def rows_with(shared_data: Path, code: str) -> list[Recording]:
    with (shared_data / "ptbxl/ptbxl_database.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if f"'{code}'" in row["scp_codes"]]
    stems = [shared_data / "ptbxl" / row["filename_hr"] for row in rows if row["strat_fold"] != "10"]
    return [read(stem) for stem in stems if stem.with_suffix(".dat").exists()]


@pytest.mark.parametrize("name", ["00010_hr", "00184_hr"])
def test_one_rhythm_has_one_heart_rate_at_every_length(examples: Path, name: str) -> None:
    recording = read(examples / name)
    peaks = find_beats(recording).r_peaks
    start, stop = int(peaks[2]) - 150, int(peaks[3]) - 150
    rates = [measured(one_rhythm(recording, start, stop, seconds)).heart_rate for seconds in LENGTHS]
    expected = 60 * 500 / (stop - start)
    assert rates == [pytest.approx(expected, abs=1)] * len(LENGTHS)


def test_cuts_of_a_real_recording_keep_its_heart_rate(examples: Path) -> None:
    recording = read(examples / "00184_hr")
    whole = measured(recording).heart_rate
    for seconds in LENGTHS[:3]:
        cut = Recording(recording.signal[:, : round(seconds * 500)].copy(), 500.0)
        # The rhythm itself varies from beat to beat.
        assert measured(cut).heart_rate == pytest.approx(whole, abs=4)


def test_a_normal_recording_measures_normal(examples: Path) -> None:
    found = measured(read(examples / "00010_hr"))
    assert found.heart_rate is not None
    assert found.pr is not None
    assert found.qrs is not None
    assert found.qtc is not None
    assert found.axis is not None
    assert 45 < found.heart_rate < 110
    assert 110 < found.pr < 210
    assert 70 <= found.qrs <= 110
    # The T waves of this young woman end early.
    assert 330 < found.qtc < 460
    assert -30 < found.axis < 100


def test_qtc_is_fridericia_of_qt_and_the_median_rr(examples: Path) -> None:
    beats = find_beats(read(examples / "00010_hr"))
    found = measure(beats)
    assert found.qt is not None
    assert found.qtc == pytest.approx(found.qt / beats.rhythm.median ** (1 / 3))


def test_one_beat_has_a_qrs_but_no_rate(examples: Path) -> None:
    recording = read(examples / "00010_hr")
    peaks = find_beats(recording).r_peaks
    cut = recording.signal[:, peaks[2] - 250 : peaks[2] + 300]
    found = measured(Recording(np.ascontiguousarray(cut), 500.0))
    assert found.heart_rate is None
    assert found.qtc is None
    assert found.qrs is not None


def test_nothing_is_measured_without_beats() -> None:
    assert measured(Recording(np.zeros((12, 5000), np.float32), 500.0)) == Measurements()


def test_no_wave_is_measured_in_a_noisy_recording(examples: Path) -> None:
    recording = read(examples / "00010_hr")
    noise = np.random.default_rng(0).normal(0, 0.2, recording.signal.shape)
    found = measured(Recording((recording.signal + noise).astype(np.float32), 500.0))
    assert (found.pr, found.qrs, found.qt, found.qtc, found.axis) == (None,) * 5
    assert found.heart_rate == pytest.approx(62.4, abs=0.5)


@pytest.mark.parametrize("level", [0.4, 0.6])
def test_what_noise_pretends_is_not_measured(examples: Path, level: float) -> None:
    recording = read(examples / "00010_hr")
    noise = np.random.default_rng(0).normal(0, level, recording.signal.shape)
    assert measured(Recording((recording.signal + noise).astype(np.float32), 500.0)) == Measurements()


@pytest.mark.parametrize("degrees", [-170.0, -90.0, -30.0, 0.0, 60.0, 90.0, 179.0])
def test_the_axis_points_where_the_vector_does(degrees: float) -> None:
    assert frontal_axis(vector(degrees)) == pytest.approx(degrees, abs=0.1)


def test_an_isoelectric_frontal_plane_has_no_axis() -> None:
    assert frontal_axis(np.zeros(12, np.float32)) is None


def test_the_interval_of_a_first_degree_block_is_long(shared_data: Path) -> None:
    found = [measured(recording).pr for recording in rows_with(shared_data, "1AVB")]
    known = [pr for pr in found if pr is not None]
    assert len(known) >= len(found) / 2
    assert np.median(known) > 200


@pytest.mark.parametrize("code", ["CRBBB", "CLBBB"])
def test_qrs_of_a_bundle_branch_block_is_wide(shared_data: Path, code: str) -> None:
    found = [measured(recording).qrs for recording in rows_with(shared_data, code)]
    wide = [qrs is not None and qrs >= 116 for qrs in found]
    assert len(wide) >= 5
    assert np.mean(wide) > 0.8


def test_normal_recordings_measure_normal(shared_data: Path) -> None:
    found = [measured(recording) for recording in rows_with(shared_data, "NORM")[::5]]
    for name, low, high in (("heart_rate", 45, 110), ("qrs", 70, 115), ("pr", 105, 215), ("qtc", 345, 460)):
        values = [getattr(one, name) for one in found]
        assert np.mean([value is not None and low <= value <= high for value in values]) > 0.85, name


def test_fibrillation_has_no_pr_interval(shared_data: Path) -> None:
    found = [measured(recording).pr for recording in rows_with(shared_data, "AFIB")]
    assert len(found) >= 5
    assert found == [None] * len(found)
