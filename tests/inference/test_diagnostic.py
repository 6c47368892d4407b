import numpy as np
import pytest

from inference.diagnostic import DIAGNOSTIC_RATE, HIGH_EDGE, LOW_EDGE, Signal, interpolated, smoothed, spectrum


def sine(frequency: float, rate: float, seconds: float = 10.0) -> Signal:
    """The same instants for every rate: samples lie in the middle of their interval."""
    t = (np.arange(round(rate * seconds)) + 0.5) / rate
    return np.tile(np.sin(2 * np.pi * frequency * t), (12, 1)).astype(np.float32)


def diagnostic(signal: Signal, rate: float) -> Signal:
    return spectrum(signal, rate).band(LOW_EDGE, HIGH_EDGE, DIAGNOSTIC_RATE)


@pytest.mark.parametrize("rate", [100.0, 250.0, 257.0, 500.0, 1000.0])
def test_the_same_wave_comes_out_the_same_from_every_rate(rate: float) -> None:
    inside = slice(250, -250)
    np.testing.assert_allclose(diagnostic(sine(10, rate), rate)[:, inside], sine(10, 500)[:, inside], atol=0.02)


def test_time_is_not_stretched_by_an_odd_length() -> None:
    signal = sine(5, 100, 7.31)
    assert diagnostic(signal, 100).shape == (12, 3655)


def test_a_constant_offset_is_removed_and_a_slow_wave_is_kept() -> None:
    wave = sine(0.5, 500)
    assert np.abs(diagnostic(wave + 3, 500) - wave).max() < 0.08


def test_what_lies_far_above_150_hz_is_removed_where_the_rate_carries_it() -> None:
    inside = slice(250, -250)
    assert np.abs(diagnostic(sine(400, 1000), 1000)[:, inside]).max() < 0.05
    assert np.abs(diagnostic(sine(225, 500), 500)[:, inside]).max() < 0.2


def test_a_source_without_150_hz_loses_nothing_at_its_top() -> None:
    top = diagnostic(sine(45, 100), 100)[:, 250:-250]
    assert np.abs(top).max() == pytest.approx(1.0, abs=0.05)


def test_invalid_samples_become_a_straight_line_and_an_invalid_lead_zero() -> None:
    signal = np.tile(np.arange(10, dtype=np.float32), (12, 1))
    signal[0, 3:6] = np.nan
    signal[1] = np.nan
    filled = interpolated(signal)
    np.testing.assert_array_equal(filled[0], np.arange(10))
    np.testing.assert_array_equal(filled[1], 0)
    assert np.isnan(signal[0, 4])


def test_smoothing_keeps_the_level_and_removes_muscle_noise() -> None:
    wave = sine(5, 500, 1) + 2
    np.testing.assert_allclose(smoothed(wave + sine(90, 500, 1), 40.0)[:, 50:-50], wave[:, 50:-50], atol=0.05)
