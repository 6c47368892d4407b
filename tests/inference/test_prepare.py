from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample

from inference import prepare as module
from inference.errors import UninterpretableSignal
from inference.formats import read
from inference.prepare import (
    MAX_WINDOWS,
    MODEL_SAMPLES,
    ModelInput,
    _resampled,
    _response,
    bridged,
    prepare,
    preprocessing_hash,
)
from inference.recording import Recording

FEATURES = np.array([1, np.nan, 3], np.float32)


@pytest.fixture(scope="module")
def signal(examples: Path) -> NDArray[np.float32]:
    return read(examples / "00010_hr.hea").signal


def _only(recording: Recording) -> NDArray[np.float32]:
    (window,) = prepare(recording, FEATURES)
    return window.signal


def _sine(frequency: float, rate: float = 500, seconds: float = 10) -> Recording:
    time = np.arange(round(seconds * rate)) / rate
    return Recording(np.tile(np.sin(2 * np.pi * frequency * time), (12, 1)).astype(np.float32), rate)


def _mixture(*frequencies: float) -> Recording:
    return Recording(np.sum([_sine(f).signal for f in frequencies], axis=0).astype(np.float32), 500)


def _amplitude(signal: NDArray[np.float32], frequency: float) -> float:
    time = np.arange(signal.shape[1]) / 500
    return float(2 * abs(np.mean(signal[0] * np.exp(-2j * np.pi * frequency * time))))


def test_ten_seconds_at_500_hz_become_one_standardised_window(signal: NDArray[np.float32]) -> None:
    window = _only(Recording(signal, 500))
    assert window.shape == (12, MODEL_SAMPLES)
    assert window.dtype == np.float32
    assert window.flags.c_contiguous
    np.testing.assert_allclose(window.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(window.std(axis=1), 1, atol=1e-4)


def test_every_window_carries_the_features_as_they_are(signal: NDArray[np.float32]) -> None:
    long = Recording(np.tile(signal, 2), 500)
    assert all(w.features is FEATURES for w in prepare(long, FEATURES))


def test_the_same_recording_gives_the_same_bits(signal: NDArray[np.float32]) -> None:
    assert _only(Recording(signal, 500)).tobytes() == _only(Recording(signal.copy(), 500)).tobytes()


@pytest.mark.parametrize(("frequency", "expected"), [(0.1, 0.0), (50, 0.21), (0.5, 0.5), (40, 0.5), (10, 1.0)])
def test_the_band_is_half_to_forty_hertz(frequency: float, expected: float) -> None:
    window = _only(_mixture(5, frequency))
    assert _amplitude(window, frequency) / _amplitude(window, 5) == pytest.approx(expected, abs=0.06)


def test_the_filter_moves_nothing_in_time() -> None:
    impulse = np.zeros((12, 5000), np.float32)
    impulse[:, 2500] = 1
    window = _only(Recording(impulse, 500))
    assert window[0].argmax() == 2500
    np.testing.assert_allclose(window[0, 2400:2500], window[0, 2600:2500:-1], atol=1e-2)


def test_an_offset_and_a_straight_drift_disappear(signal: NDArray[np.float32]) -> None:
    drift = 3 + np.linspace(0, 5, 5000, dtype=np.float32)
    plain, drifting = _only(Recording(signal, 500)), _only(Recording(signal + drift, 500))
    assert np.corrcoef(plain.ravel(), drifting.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("rate", [100, 250, 257, 360, 400, 512.82, 1000, 2000])
def test_the_sampling_rate_does_not_change_the_input(signal: NDArray[np.float32], rate: float) -> None:
    other = resample(signal, round(10 * rate), axis=1).astype(np.float32)
    at_500, at_rate = _only(Recording(signal, 500)), _only(Recording(other, rate))
    assert np.corrcoef(at_500.ravel(), at_rate.ravel())[0, 1] > 0.998


@pytest.mark.parametrize("rate", [100, 250, 257, 500, 512.82, 1000, 1001])
def test_filter_and_change_of_rate_are_scipys_resample_with_a_spectral_window(rate: float) -> None:
    samples = round(12 * rate)
    signal = np.random.default_rng(1).normal(size=(12, samples)).astype(np.float32)
    frequency = np.abs(np.fft.fftfreq(samples, 1 / rate)) + 1e-9
    window = (1 / (1 + (0.5 / frequency) ** 6) / (1 + (frequency / 40) ** 6)).astype(np.float32)
    for target in (6000, 6001):
        ours = _resampled(signal, target, _response(samples, target, rate))
        np.testing.assert_allclose(ours, resample(signal, target, axis=1, window=window), atol=1e-5)


@pytest.mark.parametrize("seconds", [2.5, 5, 7.3])
def test_a_short_recording_stands_in_the_middle_between_zeros(signal: NDArray[np.float32], seconds: float) -> None:
    length = round(seconds * 500)
    window = _only(Recording(np.ascontiguousarray(signal[:, :length]), 500))
    start = (MODEL_SAMPLES - length) // 2
    inner = window[:, start : start + length]
    assert not window[:, :start].any()
    assert not window[:, start + length :].any()
    np.testing.assert_allclose(inner.std(axis=1), 1, atol=1e-3)
    whole = _only(Recording(signal, 500))[:, 250 : length - 250]
    assert np.corrcoef(inner[:, 250:-250].ravel(), whole.ravel())[0, 1] > 0.98


def test_less_than_two_and_a_half_seconds_are_refused(signal: NDArray[np.float32]) -> None:
    with pytest.raises(UninterpretableSignal, match=r"2\.5"):
        prepare(Recording(np.ascontiguousarray(signal[:, :1249]), 500), FEATURES)


@pytest.mark.parametrize(
    ("seconds", "windows"), [(10, 1), (10.24, 1), (10.5, 1), (10.6, 2), (15, 2), (30, 3), (60, 6), (200, MAX_WINDOWS)]
)
def test_longer_recordings_are_windowed_within_bounds(seconds: float, windows: int) -> None:
    assert len(prepare(_sine(1.2, 100, seconds), FEATURES)) == windows


def test_the_windows_cover_the_recording_in_order(signal: NDArray[np.float32]) -> None:
    parts = [signal, -signal, signal * np.float32(2)]
    first, second, third = prepare(Recording(np.concatenate(parts, axis=1), 500), FEATURES)
    for window, part in zip((first, second, third), parts, strict=True):
        np.testing.assert_array_equal(window.signal, _only(Recording(part, 500)))


def test_a_flat_lead_becomes_zeros_and_leaves_the_others_alone(signal: NDArray[np.float32]) -> None:
    flat = signal.copy()
    flat[7] = 1.234
    window, plain = _only(Recording(flat, 500)), _only(Recording(signal, 500))
    assert not window[7].any()
    np.testing.assert_array_equal(np.delete(window, 7, 0), np.delete(plain, 7, 0))


def test_invalid_samples_are_bridged_before_filtering(signal: NDArray[np.float32]) -> None:
    torn = signal.copy()
    torn[3, 1000:1010] = np.nan
    torn[4, :20] = np.inf
    torn[5] = np.nan
    window, plain = _only(Recording(torn, 500)), _only(Recording(signal, 500))
    assert np.isfinite(window).all()
    assert not window[5].any()
    assert np.corrcoef(window[3], plain[3])[0, 1] > 0.98
    np.testing.assert_array_equal(window[:3], plain[:3])


def test_bridging_draws_a_straight_line_between_the_neighbours() -> None:
    torn = np.array([[np.nan, 1, np.nan, np.nan, 4, np.inf]], np.float32)
    np.testing.assert_allclose(bridged(torn), [[1, 1, 2, 3, 4, 4]])


def test_bridging_a_whole_signal_returns_it_untouched(signal: NDArray[np.float32]) -> None:
    assert bridged(signal) is signal


def test_the_hash_changes_with_every_constant_that_shapes_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {preprocessing_hash()}
    changes = {"PREPROCESSING_VERSION": "x", "HIGH_CUTOFF": 45.0, "LOW_CUTOFF": 0.4, "FILTER_ORDER": 2}
    more = {"MIRROR_SECONDS": 0.5, "SILENT_LEAD": 0.1, "MAX_WINDOWS": 3, "IGNORED_SECONDS": 0.1, "LEVEL_SECONDS": 0.1}
    for name, value in (changes | more).items():
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            seen.add(preprocessing_hash())
    assert len(seen) == 1 + len(changes) + len(more)
    assert all(len(digest) == 64 for digest in seen)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(50, 3000),
    seconds=st.floats(2.5, 40),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e6]),
    torn=st.integers(0, 300),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_accepted_recording_gives_finite_windows(
    rate: float, seconds: float, scale: float, torn: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    signal = (rng.normal(size=(12, int(np.ceil(seconds * rate)))) * scale).astype(np.float32)
    signal.reshape(-1)[rng.integers(0, signal.size, torn)] = np.nan
    windows = prepare(Recording(signal, rate), FEATURES)
    assert 1 <= len(windows) <= MAX_WINDOWS
    for window in windows:
        assert isinstance(window, ModelInput)
        assert window.signal.shape == (12, MODEL_SAMPLES)
        assert window.signal.dtype == np.float32
        assert np.isfinite(window.signal).all()


def test_the_two_versions_of_real_recordings_become_nearly_the_same_input(shared_data: Path) -> None:
    fast = sorted((shared_data / "ptbxl/records500").glob("*/*.hea"))[:20]
    likeness = []
    for path in fast:
        slow = Path(str(path).replace("records500", "records100").replace("_hr", "_lr"))
        one, two = _only(read(path)), _only(read(slow))
        likeness.append(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    assert np.mean(likeness) > 0.98
