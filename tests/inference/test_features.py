from pathlib import Path

import numpy as np
import pytest

from inference.beats import Beats, find_beats
from inference.diagnostic import DIAGNOSTIC_RATE
from inference.features import DEMOGRAPHIC_FEATURES, FEATURE_NAMES, FEATURES_VERSION, extract
from inference.measurements import Measurements, measure
from inference.recording import Recording, Sex
from tests.inference.ecg_files import read, stems


def named(recording: Recording, age: float | None = None, sex: Sex = Sex.UNKNOWN) -> dict[str, float]:
    beats = find_beats(recording)
    return dict(zip(FEATURE_NAMES, extract(beats, measure(beats), age, sex).tolist(), strict=True))


def test_the_list_of_version_2_is_fixed() -> None:
    assert FEATURES_VERSION == "2"
    assert len(FEATURE_NAMES) == len(set(FEATURE_NAMES)) == 250
    assert FEATURE_NAMES[0] == "I_p"
    assert FEATURE_NAMES[12] == "I_q"
    assert FEATURE_NAMES[204] == "heart_rate"
    assert FEATURE_NAMES[-3:] == DEMOGRAPHIC_FEATURES == ("age", "female", "male")


def test_a_real_recording_gives_float32_and_no_infinity(examples: Path) -> None:
    beats = find_beats(read(examples / "00184_hr"))
    features = extract(beats, measure(beats), 74.0, Sex.MALE)
    assert features.shape == (250,)
    assert features.dtype == np.float32
    assert not np.isinf(features).any()
    assert np.isnan(features).sum() < 10


def test_without_beats_only_the_patient_is_known() -> None:
    beats = find_beats(Recording(np.zeros((12, 5000), np.float32), 500.0))
    features = extract(beats, Measurements(), 40.0, Sex.FEMALE)
    assert np.isnan(features[:-3]).all()
    assert features[-3:].tolist() == [40, 1, 0]


@pytest.mark.parametrize(
    ("sex", "expected"), [(Sex.FEMALE, (1, 0)), (Sex.MALE, (0, 1)), (Sex.UNKNOWN, None), (Sex.OTHER, None)]
)
def test_sex_is_one_hot_or_unknown(examples: Path, sex: Sex, expected: tuple[int, int] | None) -> None:
    features = named(read(examples / "00010_hr"), sex=sex)
    if expected is None:
        assert np.isnan([features["female"], features["male"]]).all()
    else:
        assert (features["female"], features["male"]) == expected


def test_an_unknown_age_is_nan(examples: Path) -> None:
    assert np.isnan(named(read(examples / "00010_hr"))["age"])


def test_amplitudes_scale_with_the_signal_and_times_do_not(examples: Path) -> None:
    recording = read(examples / "00010_hr")
    single, double = named(recording), named(Recording(recording.signal * 2, 500.0))
    for name in ("II_r", "V2_s", "V5_t", "sokolow_lyon", "cornell", "I_qrs_area"):
        assert double[name] == pytest.approx(2 * single[name], rel=0.03), name
    for name in ("qrs", "pr", "qt", "heart_rate", "axis"):
        assert double[name] == pytest.approx(single[name], abs=1), name


def test_a_raised_st_segment_is_read_at_its_height(examples: Path) -> None:
    recording = read(examples / "00010_hr")
    beats = find_beats(recording)
    assert beats.waves is not None
    signal = recording.signal.copy()
    start = beats.waves.qrs_off - beats.waves.r
    for r in beats.r_peaks:
        signal[7, r + start : r + start + 90] += 0.3
    assert named(Recording(signal, 500.0))["V2_st60"] - named(recording)["V2_st60"] == pytest.approx(0.3, abs=0.05)


def test_amplitudes_are_those_of_the_trace(examples: Path) -> None:
    recording = read(examples / "00010_hr")
    beats, features = find_beats(recording), named(recording)
    assert beats.waves is not None
    step = beats.waves.fs // DIAGNOSTIC_RATE
    on, off = beats.waves.qrs_on // step, beats.waves.qrs_off // step
    qrs, level = beats.median[:, on:off], beats.median[:, on - 3 : on].mean(axis=1)
    assert features["V5_r"] == pytest.approx(qrs[10].max() - level[10], abs=0.1)
    assert features["V1_s"] == pytest.approx(qrs[6].min() - level[6], abs=0.1)
    assert features["sokolow_lyon"] == pytest.approx(-features["V1_s"] + max(features["V5_r"], features["V6_r"]))


def test_an_inverted_lead_changes_sign(examples: Path) -> None:
    recording = read(examples / "00010_hr")
    signal = recording.signal.copy()
    signal[11] *= -1
    upright, inverted = named(recording), named(Recording(signal, 500.0))
    for name in ("V6_qrs_area", "V6_t", "V6_st60", "V6_t_area"):
        assert inverted[name] == pytest.approx(-upright[name], abs=0.02), name


@pytest.mark.parametrize("samples", [1, 120, 600, 1250])
def test_a_short_recording_never_raises(examples: Path, samples: int) -> None:
    recording = read(examples / "00184_hr")
    beats: Beats = find_beats(Recording(recording.signal[:, :samples].copy(), 500.0))
    assert extract(beats, measure(beats), None, Sex.UNKNOWN).shape == (250,)


def test_the_100_hz_copy_of_a_recording_has_nearly_the_same_features(shared_data: Path) -> None:
    high = stems(shared_data, "filename_hr")[::10]
    low = [shared_data / "ptbxl/records100/00000" / stem.name.replace("_hr", "_lr") for stem in high]
    assert len(high) > 40
    slow, fast = (np.array([list(named(read(stem)).values())[:-3] for stem in side]) for side in (low, high))
    spread = np.nanpercentile(fast, 95, axis=0) - np.nanpercentile(fast, 5, axis=0)
    difference = np.nanmedian(np.abs(slow - fast), axis=0) / np.maximum(spread, 1e-6)
    assert np.median(difference) < 0.01
    assert np.quantile(difference, 0.95) < 0.045
