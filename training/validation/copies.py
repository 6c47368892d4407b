"""Recordings that are one: the same samples, or the same recording once more at another rate, resolution or gain.

The signature of a recording is the activity of each independent lead in each part of it: the spread of the differences
of neighbouring 40 ms means, which resampling, rounding and light filters change little, as a logarithm less the mean
over all, which takes the gain out. Root mean square differences of signatures, measured on PTB-XL: between the 100 Hz
and the 500 Hz file of a recording 0.01 in the middle and 0.04 at the 90th percentile; between two of 1,856 recordings
never less than 0.06.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from inference.recording import INDEPENDENT_LEADS, LEADS, Recording
from training.datasets.entry import Split

_INDEPENDENT = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
_STEP = 0.04  # s; shorter ones differ by how a rate renders a QRS complex
_PARTS = 8
SIGNATURE_SIZE = len(_INDEPENDENT) * _PARTS
_FLOOR = 0.001  # mV; smaller steps are a converter's noise, and their logarithm is noise too

# Between what resampling changes and what tells two recordings apart.
SAME_RECORDING = 0.05

Signature = NDArray[np.float32]


def fingerprint(recording: Recording) -> str:
    """SHA-256 of sampling rate and samples in their canonical form: the eight independent leads (the others follow
    from them, rounded differently by different devices), one zero, one NaN."""
    signal = recording.signal[_INDEPENDENT] + np.float32(0)  # -0.0 + 0.0 is 0.0
    signal[np.isnan(signal)] = np.nan
    digest = hashlib.sha256(f"{recording.sampling_rate:g}/{signal.shape[1]}".encode())
    digest.update(np.ascontiguousarray(signal, "<f4").tobytes())
    return digest.hexdigest()


def signature(signal: NDArray[np.float32], sampling_rate: float) -> Signature:
    """signal: (12, n) in mV without NaN, at least a second of it. Gives float32 (SIGNATURE_SIZE,)."""
    width = max(1, round(_STEP * sampling_rate))
    sums = np.cumsum(signal[_INDEPENDENT], axis=1, dtype=np.float64) / width
    steps = sums[:, 2 * width :] - 2 * sums[:, width:-width] + sums[:, : -2 * width]
    length = steps.shape[1] // _PARTS
    parts = steps[:, : length * _PARTS].reshape(len(_INDEPENDENT), _PARTS, length)
    levels = np.log(np.maximum(parts.std(axis=2), _FLOOR)).ravel()
    centred: Signature = (levels - levels.mean()).astype(np.float32)
    return centred


def no_signature() -> Signature:
    """Of a recording that has nothing to compare."""
    return np.full(SIGNATURE_SIZE, np.nan, np.float32)


def splits_of_each(keys: Sequence[str], splits: Sequence[str]) -> list[int]:
    """For each recording the number of splits in which its key occurs; an empty key is nobody's."""
    seen: dict[str, set[str]] = defaultdict(set)
    for key, split in zip(keys, splits, strict=True):
        seen[key].add(split)
    return [len(seen[key]) if key else 1 for key in keys]


def copies_of_each(keys: Sequence[str], splits: Sequence[str]) -> list[int]:
    """For each recording the number of recordings in its split with its key; an empty key is nobody's."""
    counts = Counter(zip(keys, splits, strict=True))
    return [counts[key, split] if key else 1 for key, split in zip(keys, splits, strict=True)]


def alike_across_splits(signatures: Sequence[Signature], splits: Sequence[str]) -> list[bool]:
    """For each recording outside of the training split, whether a training recording has its signature."""
    alike = np.zeros(len(splits), np.bool_)
    if len(splits) == 0:
        return []
    values = np.stack(signatures)
    comparable = np.isfinite(values).all(axis=1)
    training = comparable & (np.asarray(splits) == Split.TRAIN)
    others = comparable & ~training
    if training.any() and others.any():
        reach = SAME_RECORDING * np.sqrt(SIGNATURE_SIZE)
        distance, _ = cKDTree(values[training]).query(values[others], distance_upper_bound=reach)
        alike[others] = np.isfinite(distance)
    return [bool(is_alike) for is_alike in alike]
