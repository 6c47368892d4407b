import numpy as np
import pytest
from numpy.typing import NDArray

from inference.lead_statistics import lead_statistics


def _noise(deviation: float, samples: int = 5000) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, deviation, (12, samples)).astype(np.float32)


def test_noise_is_given_as_its_standard_deviation_on_the_grid() -> None:
    averaged_over = 4  # 500 Hz down to 125
    noise = lead_statistics(_noise(0.1), 500).noise
    np.testing.assert_allclose(noise, 0.1 / np.sqrt(averaged_over), rtol=0.1)


def test_slow_waves_are_no_noise() -> None:
    wave = np.sin(2 * np.pi * np.arange(5000) / 500).astype(np.float32)
    assert lead_statistics(np.tile(wave, (12, 1)), 500).noise.max() < 0.002


def test_wander_is_the_range_of_the_level() -> None:
    drift = np.tile(np.linspace(0, 3, 5000, dtype=np.float32), (12, 1))
    np.testing.assert_allclose(lead_statistics(drift, 500).wander, 2.7, atol=0.05)


def test_shares_are_of_the_whole_lead() -> None:
    signal = _noise(1)
    signal[0, :1000] = np.nan
    signal[1, 2000:] = 0.5
    signal[2] = np.minimum(signal[2], 0)
    statistics = lead_statistics(signal, 500)
    assert statistics.invalid[0] == pytest.approx(0.2)
    assert statistics.invalid[1:].max() == 0
    assert statistics.flat[1] == pytest.approx(0.6)
    assert statistics.railed[2] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("samples", [1250, 1337, 3650])
def test_a_broken_last_second_rails_nothing(samples: int) -> None:
    signal = _noise(1, samples)
    signal[:, -20:] += 10
    assert lead_statistics(signal, 500).railed.max() < 0.01


def test_amplitude_is_typical_and_not_the_largest() -> None:
    signal = np.zeros((12, 5000), np.float32)
    signal[:, ::250] = 1
    signal[:, 700] = 50
    np.testing.assert_allclose(lead_statistics(signal, 500).amplitude, 1)
