"""The diagnostic copy of a recording: 0.05-150 Hz, zero phase, in mV, at one internal rate.

The bandwidth is that of the AHA/ACC/HRS recommendations (Kligfield et al., Circulation 115:1306, 2007). Filtering and
the change of rate are one step in the cosine transform (DCT-II) of the signal: its basis is the spectrum of the signal
mirrored at both ends, so nothing wraps around and the ends stay where they are; gains are real, so there is no phase
shift and no ST distortion by phase; cutting or extending the spectrum changes the rate without stretching time.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

Signal = NDArray[np.float32]

DIAGNOSTIC_RATE = 500
LOW_EDGE = 0.05
HIGH_EDGE = 150.0

# QRS energy lies at 5 to 25 Hz; 250 Hz is enough to find beats to the nearest 4 ms and half the work.
QRS_BAND = (6.0, 24.0)
DETECTION_RATE = 250

_FILTER_ORDER = 2


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Cosine transform of a signal (leads, n), still at its source rate in Hz."""

    coefficients: Signal
    rate: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.coefficients.shape[1] / self.rate)

    def band(self, low: float, high: float, rate: float) -> Signal:
        """The band low..high (Hz, -6 dB points) sampled at `rate`: float32 (leads, round(duration * rate)).

        Where the source does not reach `high`, only the low edge is applied.
        """
        source = self.coefficients.shape[1]
        samples = max(1, round(self.duration * rate))
        kept = min(source, samples)
        gains = _gains(kept, self.duration, low, high if high < self.rate / 2 else None)
        coefficients = np.zeros((self.coefficients.shape[0], samples), np.float32)
        np.multiply(
            self.coefficients[:, :kept], gains * np.float32((samples / source) ** 0.5), out=coefficients[:, :kept]
        )
        return cast(Signal, idct(coefficients, type=2, norm="ortho", axis=1, overwrite_x=True))


# Recordings come in few lengths; computing the powers takes longer than the transform.
@lru_cache(maxsize=8)
def _gains(count: int, duration: float, low: float, high: float | None) -> Signal:
    """Squared magnitude of a Butterworth filter of second order: what filtering forwards and backwards gives."""
    frequency = np.arange(count) / (2 * duration)
    ratio = (frequency / low) ** (2 * _FILTER_ORDER)
    gains = ratio / (1 + ratio)
    if high is not None:
        gains /= 1 + (frequency / high) ** (2 * _FILTER_ORDER)
    return gains.astype(np.float32)


def spectrum(signal: Signal, rate: float) -> Spectrum:
    """Cosine transform of (leads, n) in mV at `rate` Hz; samples that are no finite numbers are interpolated first."""
    whole = interpolated(signal)
    centred = whole - whole.mean(axis=1, keepdims=True)
    return Spectrum(cast(Signal, dct(centred, type=2, norm="ortho", axis=1, overwrite_x=True)), rate)


def smoothed(signal: Signal, high: float) -> Signal:
    """(leads, n) at DIAGNOSTIC_RATE without what lies above `high` Hz; the level is kept."""
    coefficients = dct(signal, type=2, norm="ortho", axis=1)
    coefficients *= _steep_gains(signal.shape[1], high)
    return cast(Signal, idct(coefficients, type=2, norm="ortho", axis=1, overwrite_x=True))


@lru_cache(maxsize=8)
def _steep_gains(count: int, high: float) -> Signal:
    """Squared magnitude of a Butterworth low-pass of fourth order."""
    frequency = np.arange(count) * (DIAGNOSTIC_RATE / (2 * count))
    return np.asarray(1 / (1 + (frequency / high) ** (4 * _FILTER_ORDER)), np.float32)


def interpolated(signal: Signal) -> Signal:
    """Each lead with its invalid samples replaced by a straight line; a lead without any valid sample becomes zero."""
    valid = np.isfinite(signal)
    if valid.all():
        return signal
    filled = np.zeros_like(signal)
    positions = np.arange(signal.shape[1])
    for lead, usable in enumerate(valid):
        if usable.any():
            filled[lead] = np.interp(positions, positions[usable], signal[lead, usable])
    return filled
