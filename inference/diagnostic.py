"""The diagnostic copy of a recording: from 0.05 Hz up, zero phase, in mV, at one internal rate.

The low edge is that of the AHA/ACC/HRS recommendations (Kligfield et al., Circulation 115:1306, 2007), which leaves ST
where it is; the copy reaches to 125 Hz, and what is read from it lies below 40 Hz. Filtering and the change of rate are
one step in the cosine transform (DCT-II) of the signal: its basis is the spectrum of the signal mirrored at both ends,
so nothing wraps around and the ends stay where they are; gains are real, so there is no phase shift and no ST
distortion by phase; cutting or extending the spectrum changes the rate without stretching time.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

Signal = NDArray[np.float32]

DIAGNOSTIC_RATE = 250
LOW_EDGE = 0.05

# QRS energy lies at 5 to 25 Hz; 125 Hz carries it whole, and a parabola finds positions between the samples.
QRS_BAND = (6.0, 24.0)
DETECTION_RATE = 125

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

    def band(self, low: float, high: float | None, rate: float, leads: int | None = None) -> Signal:
        """The band low..high (Hz, -6 dB points) of the first `leads` at `rate`: (leads, round(duration * rate)).

        Without `high`, and where the source does not reach it, only the low edge is applied.
        """
        source = self.coefficients.shape[1]
        samples = max(1, round(self.duration * rate))
        kept = min(source, samples)
        gains = _gains(kept, self.duration, low, high if high is not None and high < self.rate / 2 else None)
        chosen = self.coefficients[:leads, :kept]
        return _back(chosen, gains * np.float32((samples / source) ** 0.5), samples)


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
    coefficients = cast(Signal, dct(signal, type=2, norm="ortho", axis=1))
    # One bad sample spoils every coefficient of its lead, so the first of each tells.
    if not np.isfinite(coefficients[:, 0]).all():
        coefficients = cast(Signal, dct(interpolated(signal), type=2, norm="ortho", axis=1, overwrite_x=True))
    return Spectrum(coefficients, rate)


def smoothed(signal: Signal, high: float, rate: int) -> Signal:
    """(leads, n) at DIAGNOSTIC_RATE without what lies above `high` Hz, at `rate` Hz; the level is kept."""
    samples = signal.shape[1] * rate // DIAGNOSTIC_RATE
    coefficients = cast(Signal, dct(signal, type=2, norm="ortho", axis=1))
    gains = _steep_gains(signal.shape[1], high) * np.float32((rate / DIAGNOSTIC_RATE) ** 0.5)
    return _back(coefficients, gains, samples)


def _back(coefficients: Signal, gains: Signal, samples: int) -> Signal:
    """The signal (leads, samples) of the weighted coefficients (leads, up to samples)."""
    weighted = np.empty((len(coefficients), samples), np.float32)
    np.multiply(coefficients, gains, out=weighted[:, : len(gains)])
    weighted[:, len(gains) :] = 0
    return cast(Signal, idct(weighted, type=2, norm="ortho", axis=1, overwrite_x=True))


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
