"""What the quality gate needs to know of each lead, each number computed once for all twelve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.coarse_beat import to_grid
from inference.median import middle
from inference.prepare import bridged

# One second holds a beat or most of one at any rate above 40 a minute, and little baseline wander.
_BLOCK = 1.0
# mV, peak to peak in a block. The quietest block of 2,330 real recordings has 0.029; an open or shorted input less.
FLAT_RANGE = 0.01
# Stretches between QRS complexes, for noise; short enough that most of them hold neither QRS nor T.
_NOISE_BLOCK = 0.1

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LeadStatistics:
    """Arrays of shape (12,) unless said otherwise; amplitudes in mV.

    signal: (12, n), invalid samples bridged. duration: seconds. grid: (12, m), the signal averaged down to grid_rate
    Hz. steps: (12, m - 1), differences of the grid. invalid: share of invalid samples. flat: share of seconds without
    signal. railed: share of samples exactly at the lead's highest or lowest value, in whole seconds. amplitude: typical
    peak-to-peak value within a second. wander: range of the mean level over seconds. noise: standard deviation between
    the QRS complexes.
    """

    signal: Values
    duration: float
    grid: Values
    grid_rate: float
    steps: Values
    invalid: NDArray[np.float64]
    flat: NDArray[np.float64]
    railed: NDArray[np.float64]
    amplitude: Values
    wander: Values
    noise: Values


def lead_statistics(raw: Values, sampling_rate: float) -> LeadStatistics:
    """raw: (12, n) in mV with NaN for invalid samples, at least a second of it."""
    signal = bridged(raw)
    invalid = np.zeros(len(raw)) if signal is raw else 1 - np.isfinite(raw).mean(axis=1)
    grid, grid_rate = to_grid(signal, sampling_rate)
    steps = np.diff(grid, axis=1)
    blocks = _blocks(signal, round(_BLOCK * sampling_rate))
    top, bottom = blocks.max(axis=2), blocks.min(axis=2)
    level = _blocks(grid, round(_BLOCK * grid_rate)).mean(axis=2)
    return LeadStatistics(
        signal=signal,
        duration=signal.shape[1] / sampling_rate,
        grid=grid,
        grid_rate=grid_rate,
        steps=steps,
        invalid=invalid,
        flat=(top - bottom < FLAT_RANGE).mean(axis=1),
        railed=np.maximum(_railed(blocks, top), _railed(blocks, bottom, np.minimum)),
        amplitude=middle(top - bottom),
        wander=level.max(axis=1) - level.min(axis=1),
        noise=_noise(steps, round(_NOISE_BLOCK * grid_rate)),
    )


def _blocks(signal: Values, length: int) -> Values:
    count = signal.shape[1] // length
    return signal[:, : count * length].reshape(len(signal), count, length)


def _railed(blocks: Values, extremes: Values, further: np.ufunc = np.maximum) -> NDArray[np.float64]:
    """Share of samples at the furthest value of their lead. blocks: (12, k, n), extremes: (12, k), those of each
    block; only blocks that reach the furthest value are counted in, mostly one of ten."""
    limit = further.reduce(extremes, axis=1, keepdims=True)
    leads, places = np.nonzero(extremes == limit)
    counts = np.count_nonzero(blocks[leads, places] == limit[leads], axis=1)
    share: NDArray[np.float64] = np.bincount(leads, counts, len(blocks)) / (blocks.shape[1] * blocks.shape[2])
    return share


def _noise(steps: Values, block: int) -> Values:
    """From second differences, which know nothing of slow waves: for white noise their mean absolute value is its
    standard deviation times sqrt(6) times sqrt(2 / pi)."""
    bends = np.abs(np.diff(steps, axis=1))
    typical = middle(np.einsum("ijk->ij", _blocks(bends, block)))
    return typical / np.float32(block * np.sqrt(6) * np.sqrt(2 / np.pi))
