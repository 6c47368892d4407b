import numpy as np
import pytest

from inference.diagnostic import DIAGNOSTIC_RATE, LOW_EDGE, QRS_BAND, Signal, interpolated, smoothed, spectrum


def sine(frequency: float, rate: float, seconds: float = 10.0) -> Signal:
    """The same instants for every rate: samples lie in the middle of their interval."""
    t = (np.arange(round(rate * seconds)) + 0.5) / rate
    return np.tile(np.sin(2 * np.pi * frequency * t), (12, 1)).astype(np.float32)


def diagnostic(signal: Signal, rate: float) -> Signal:
    return spectrum(signal, rate).band(LOW_EDGE, None, DIAGNOSTIC_RATE)


@pytest.mark.parametrize("rate", [100.0, 250.0, 257.0, 500.0, 1000.0])
def test_the_same_wave_comes_out_the_same_from_every_rate(rate: float) -> None:
    inside = slice(125, -125)
    expected = sine(10, DIAGNOSTIC_RATE)[:, inside]
    np.testing.assert_allclose(diagnostic(sine(10, rate), rate)[:, inside], expected, atol=0.02)


def test_time_is_not_stretched_by_an_odd_length() -> None:
    signal = sine(5, 100, 7.31)
    assert diagnostic(signal, 100).shape == (12, round(7.31 * DIAGNOSTIC_RATE))


def test_a_constant_offset_is_removed_and_a_slow_wave_is_kept() -> None:
    wave = diagnostic(sine(0.5, 500) + 3, 500)
    assert np.abs(wave - sine(0.5, DIAGNOSTIC_RATE)).max() < 0.08


@pytest.mark.parametrize(("frequency", "rate"), [(400, 1000), (225, 500), (140, 500)])
def test_what_the_copy_cannot_carry_is_not_folded_into_it(frequency: float, rate: float) -> None:
    assert np.abs(diagnostic(sine(frequency, rate), rate)[:, 125:-125]).max() < 0.05


def test_nothing_is_lost_below_125_hz() -> None:
    for frequency, rate in ((45, 100), (100, 500)):
        top = diagnostic(sine(frequency, rate), rate)[:, 125:-125]
        assert np.abs(top).max() == pytest.approx(1.0, abs=0.05)


def test_a_band_of_the_first_leads_is_that_band_of_all() -> None:
    bands = spectrum(sine(60, 500), 500)
    some = bands.band(*QRS_BAND, DIAGNOSTIC_RATE, leads=8)
    np.testing.assert_array_equal(some, bands.band(*QRS_BAND, DIAGNOSTIC_RATE)[:8])
    assert np.abs(some[:, 125:-125]).max() < 0.05, "and 60 Hz is not in it"


def test_one_invalid_sample_is_bridged_before_the_transform() -> None:
    torn = sine(1, 500)
    torn[3, 100] = np.nan
    np.testing.assert_allclose(spectrum(torn, 500).coefficients, spectrum(sine(1, 500), 500).coefficients, atol=0.01)


def test_invalid_samples_become_a_straight_line_and_an_invalid_lead_zero() -> None:
    signal = np.tile(np.arange(10, dtype=np.float32), (12, 1))
    signal[0, 3:6] = np.nan
    signal[1] = np.nan
    filled = interpolated(signal)
    np.testing.assert_array_equal(filled[0], np.arange(10))
    np.testing.assert_array_equal(filled[1], 0)
    assert np.isnan(signal[0, 4])


def test_smoothing_keeps_the_level_removes_muscle_noise_and_doubles_the_rate() -> None:
    noisy = sine(5, 250, 1) + sine(90, 250, 1) + 2
    np.testing.assert_allclose(smoothed(noisy, 40.0, 500)[:, 50:-50], sine(5, 500, 1)[:, 50:-50] + 2, atol=0.05)
