"""Recording -> ModelInput: the one copy for training and serving.

Band-pass and change of rate are one multiplication in the frequency domain, as `scipy.signal.resample` does it with a
spectral window; here that window is the squared magnitude of a Butterworth band-pass (what running the filter forwards
and backwards gives). So the phase is zero, the response is the analog one at every sampling rate, and a recording at
100 Hz and the same one at 500 Hz become the same input (correlation 0.9997; PTB-XL's own two versions of a recording
correlate by 0.987, by 0.973 with a filter run at each rate). The Fourier transform sees a period, so the signal is
levelled and continued by its mirror image, faded out, before it goes in. What a cut does to the first and last half
second was measured by cutting 5 s out of 10: an error of 0.14 standard deviations, against 0.44 for `sosfiltfilt`.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.errors import UninterpretableSignal
from inference.recording import LEADS, Recording

MODEL_SAMPLING_RATE = 500
MODEL_SAMPLES = 5000

# Raised by hand whenever the same recording would become another input; a released model names the version and the
# hash it was trained with.
PREPROCESSING_VERSION = "1"

WINDOW_SECONDS = MODEL_SAMPLES / MODEL_SAMPLING_RATE
# Below this not even a slow rhythm shows two beats, and the standard 12-lead print-out holds 2.5 s of each lead.
MIN_DURATION = 2.5
# One minute; more windows would hold up the inference lane and tell nothing new of a resting ECG.
MAX_WINDOWS = 6
# A remainder this short (10.24 s recordings have 0.24 s) is not worth a second forward pass: the middle is taken.
IGNORED_SECONDS = 0.5

LOW_CUTOFF = 0.5  # Hz; below it lies baseline wander
HIGH_CUTOFF = 40.0  # Hz; above it lie mains and muscle
FILTER_ORDER = 3  # Butterworth, applied twice in effect: 50 Hz comes out at a fifth, 0.1 Hz below a thousandth

# The impulse response of a 0.5 Hz high-pass has faded to a few per cent after one second.
MIRROR_SECONDS = 1.0
# The level at each end is the mean of this much signal, so that one QRS complex at the edge does not tilt the line.
LEVEL_SECONDS = 0.25

# mV of standard deviation. A lead with less in the band is switched off or shorted: electronic noise of a connected
# lead alone is above it. Scaling it up to unit variance would show the network an invented signal.
SILENT_LEAD = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """One 10 s window. signal: float32 (12, 5000). features: float32 (n,) in the order of
    `inference.features.FEATURE_NAMES`, NaN for unknown."""

    signal: NDArray[np.float32]
    features: NDArray[np.float32]


def prepare(recording: Recording, features: NDArray[np.float32]) -> tuple[ModelInput, ...]:
    """The windows of a recording, in order of time; the classifier averages over them.

    Each holds 10 s at 500 Hz, 0.5 to 40 Hz, every lead with mean 0 and standard deviation 1. Longer recordings give
    up to `MAX_WINDOWS` windows spread evenly over their length; shorter ones stand in the middle between zeros that
    take no part in the scaling. A lead without signal is all zeros. Invalid samples (NaN) are bridged by a straight
    line. Every window carries the same `features`: they describe the recording.

    Raises UninterpretableSignal for less than `MIN_DURATION` seconds.
    """
    if recording.duration < MIN_DURATION:
        raise UninterpretableSignal(f"{recording.duration:.2f} s of signal; at least {MIN_DURATION} s are needed")
    rate = recording.sampling_rate
    length = min(round(WINDOW_SECONDS * rate), recording.signal.shape[1])
    starts = _starts(recording.signal.shape[1], length, rate)
    signal = recording.signal
    return tuple(ModelInput(_window(signal[:, s : s + length], rate), features) for s in starts)


def preprocessing_hash() -> str:
    """SHA-256 over every constant that shapes a ModelInput; part of the feature cache's key and of the model card."""
    constants = {
        "version": PREPROCESSING_VERSION,
        "leads": LEADS,
        "sampling_rate": MODEL_SAMPLING_RATE,
        "samples": MODEL_SAMPLES,
        "windows": [MAX_WINDOWS, IGNORED_SECONDS],
        "band": [LOW_CUTOFF, HIGH_CUTOFF, FILTER_ORDER],
        "edges": [MIRROR_SECONDS, LEVEL_SECONDS],
        "silent_lead": SILENT_LEAD,
    }
    return hashlib.sha256(json.dumps(constants, sort_keys=True).encode()).hexdigest()


def bridged(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """The signal with samples that are no numbers replaced along a straight line between their valid neighbours, the
    nearest valid one at the ends, zeros where a lead has none. The input itself comes back if nothing is missing."""
    valid = np.isfinite(signal)
    if valid.all():
        return signal
    positions = np.arange(signal.shape[1])
    filled = np.zeros_like(signal)
    for lead, good in enumerate(valid):
        if good.any():
            filled[lead] = np.interp(positions, positions[good], signal[lead, good])
    return filled


def _starts(samples: int, length: int, rate: float) -> list[int]:
    """First sample of each window."""
    spare = samples - length
    if spare <= IGNORED_SECONDS * rate:
        return [spare // 2]
    count = min(-(-samples // length), MAX_WINDOWS)
    return [round(i * spare / (count - 1)) for i in range(count)]


def _window(signal: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """(12, samples) of at most 10 s in mV -> (12, 5000), filtered, resampled, scaled and padded."""
    scaled = _standardised(_filtered(bridged(signal), rate))
    spare = MODEL_SAMPLES - scaled.shape[1]
    if spare == 0:
        return scaled
    window = np.zeros((len(LEADS), MODEL_SAMPLES), np.float32)
    window[:, spare // 2 : spare // 2 + scaled.shape[1]] = scaled
    return window


def _standardised(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """z-score per lead; leads without signal become zeros."""
    centred: NDArray[np.float32] = signal - signal.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("ij,ij->i", centred, centred) / signal.shape[1])
    gain = np.where(deviation > SILENT_LEAD, 1 / np.maximum(deviation, SILENT_LEAD), 0).astype(np.float32)
    centred *= gain[:, np.newaxis]
    return centred


def _filtered(signal: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Band-passed with zero phase and resampled to 500 Hz; the duration stays what it was."""
    samples: int = signal.shape[1]
    before, after, target = _extension(samples, rate)
    extended = _mirrored(signal, before, after, rate)
    output = _resampled(extended, target, _response(extended.shape[1], target, rate))
    start = round(before * MODEL_SAMPLING_RATE / rate)
    length: int = min(round(samples * MODEL_SAMPLING_RATE / rate), MODEL_SAMPLES)
    return output[:, start : start + length]


def _resampled(signal: NDArray[np.float32], target: int, response: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `scipy.signal.resample` gives with this response as its window, to float rounding: importing that package
    for one function takes a second and 80 MB."""
    from scipy.fft import irfft, rfft

    spectrum = rfft(signal, axis=1)[:, : len(response)]
    spectrum *= response
    output: NDArray[np.float32] = irfft(spectrum, n=target, axis=1, overwrite_x=True)
    return output


@lru_cache(maxsize=64)  # rates times lengths that one site sends; callers choose both, so it is bounded
def _extension(samples: int, rate: float) -> tuple[int, int, int]:
    """Samples to add before and after, and the length to resample to.

    At a whole rate the extended signal lasts whole seconds, so that the ratio of the lengths is exactly that of the
    rates. At others the target is rounded, which moves no sample by more than a millisecond, and a length that the
    transform likes is worth more.
    """
    from scipy.fft import next_fast_len

    before = round(MIRROR_SECONDS * rate)
    if float(rate).is_integer():
        total = math.ceil(samples / rate + 2 * MIRROR_SECONDS) * int(rate)
    else:
        total = next_fast_len(samples + 2 * before, real=True)
    return before, total - before - samples, round(total * MODEL_SAMPLING_RATE / rate)


@lru_cache(maxsize=16)  # 12 kB each
def _response(samples: int, target: int, rate: float) -> NDArray[np.float32]:
    """Gain, for a change of length from `samples` at `rate` Hz to `target`, at each frequency that both lengths have in
    their Fourier transform of real values."""
    shared = min(samples, target)
    frequency = np.fft.rfftfreq(samples, 1 / rate)[: shared // 2 + 1]
    with np.errstate(divide="ignore"):  # the gain of DC is 1 / infinity, which is the 0 that it must be
        high_pass = 1 / (1 + (LOW_CUTOFF / frequency) ** (2 * FILTER_ORDER))
    low_pass = 1 / (1 + (frequency / HIGH_CUTOFF) ** (2 * FILTER_ORDER))
    gain = high_pass * low_pass * (target / samples)
    if target != samples and shared % 2 == 0:
        # In one of the spectra the highest frequency kept is its own mirror image, in the other it has one beside it.
        gain[-1] *= 2 if target < samples else 0.5
    response: NDArray[np.float32] = gain.astype(np.float32)
    response.setflags(write=False)
    return response


def _mirrored(signal: NDArray[np.float32], before: int, after: int, rate: float) -> NDArray[np.float32]:
    """The signal levelled by the line through its ends and continued on both sides by its fading mirror image."""
    samples = signal.shape[1]
    edge = max(1, round(LEVEL_SECONDS * rate))
    first = signal[:, :edge].mean(axis=1, keepdims=True)
    last = signal[:, -edge:].mean(axis=1, keepdims=True)
    extended = np.empty((signal.shape[0], before + samples + after), np.float32)
    level = extended[:, before : before + samples]
    np.multiply(last - first, _ramp(samples), out=level)
    level += first
    np.subtract(signal, level, out=level)
    extended[:, :before] = level[:, before:0:-1] * _fade(before)
    extended[:, before + samples :] = level[:, -2 : -after - 2 : -1] * _fade(after)[::-1]
    return extended


@lru_cache(maxsize=16)  # 20 kB each
def _ramp(samples: int) -> NDArray[np.float32]:
    """From 0 to 1."""
    ramp = np.linspace(0, 1, samples, dtype=np.float32)
    ramp.setflags(write=False)
    return ramp


@lru_cache(maxsize=64)
def _fade(samples: int) -> NDArray[np.float32]:
    """Half a cosine from 0 up to 1."""
    phase: NDArray[np.float64] = np.pi * (np.arange(samples) + 0.5) / samples
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
