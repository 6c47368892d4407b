"""A quick look at the beats, for the quality gate: is there a heart beat at all, and what does it look like?

Not for measuring (that is `inference.beats`): the signal is averaged down to about 125 Hz, QRS complexes are the
stretches where all leads together are steep, and the beat is the median over them. White, pink and brown noise, mains
and sine waves have no such stretches: their steepest 0.1 s are less than twice as steep as the typical ones (highest
seen 1.96), while those of 2,330 real recordings, also when cut to 2.5 s, are 2.4 to 54 times as steep. What it does not
tell apart is a drift smoother than brown noise that is the same in all leads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.median import median_over_rows, middle

GRID_RATE = 125.0  # Hz, wanted; the actual one is the sampling rate divided by a whole number

_QRS_SECONDS = 0.1
_REFRACTORY_SECONDS = 0.2  # no two QRS complexes are closer at 300 beats a minute
# The level of the steep stretches: at 40 beats a minute QRS complexes fill 6 % of the time, so 3 % are all QRS.
_STEEP_SHARE = 0.97
_PEAK_LEVEL = 0.5  # of that level; lower ones are T waves
_FLAT_SLOPE = 1e-4  # mV between neighbours on the grid, rms; a lead below takes no part

BEFORE_R = 0.28  # s; P wave and PR interval
AFTER_R = 0.40  # s; ST segment and T wave
MIN_BEATS = 3  # the fewest of which a median is typical


@dataclass(frozen=True, slots=True, eq=False)
class CoarseBeats:
    """contrast: steepness of the steepest stretches against the typical. count: stretches that look like QRS.
    beat: median beat in mV (12, samples), mean 0 per lead, QRS at `round(BEFORE_R * rate)`; None with fewer than
    `MIN_BEATS` whole beats. rate: Hz."""

    contrast: float
    count: int
    beat: NDArray[np.float32] | None
    rate: float


def to_grid(signal: NDArray[np.float32], sampling_rate: float) -> tuple[NDArray[np.float32], float]:
    """The signal averaged down to about `GRID_RATE`, and the rate it has then."""
    factor = max(1, round(sampling_rate / GRID_RATE))
    whole = signal.shape[1] // factor * factor
    grid = signal[:, 0:whole:factor].copy()
    for offset in range(1, factor):
        grid += signal[:, offset:whole:factor]
    grid *= np.float32(1 / factor)
    return grid, sampling_rate / factor


def find_coarse_beats(grid: NDArray[np.float32], rate: float, steps: NDArray[np.float32]) -> CoarseBeats:
    """grid: (12, n) from `to_grid`; rows of leads that are not to be looked at are zero. steps: its differences."""
    width = max(2, round(_QRS_SECONDS * rate))
    steepness = _steepness(steps, width)
    if steepness.size < 2 or not steepness.any():
        return CoarseBeats(0.0, 0, None, rate)
    place = int(_STEEP_SHARE * steepness.size)
    steep = float(np.partition(steepness, place)[place])
    typical = float(middle(steepness))
    peaks = _peaks(steepness, _PEAK_LEVEL * steep, round(_REFRACTORY_SECONDS * rate)) + width // 2
    contrast = steep / typical if typical > 0 else float("inf")
    return CoarseBeats(contrast, len(peaks), _median_beat(grid, peaks, rate), rate)


def _steepness(steps: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Mean over leads of the absolute slope, each lead against its own, over a moving stretch of `width` samples."""
    own = np.sqrt(np.einsum("ij,ij->i", steps, steps) / steps.shape[1])
    weights = np.where(own > _FLAT_SLOPE, 1 / np.maximum(own, _FLAT_SLOPE), 0).astype(np.float32)
    # einsum, not @: BLAS would wake its threads beside the inference lane for a few microseconds' work.
    summed = np.cumsum(np.einsum("i,ij->j", weights, np.abs(steps)), dtype=np.float64)
    return (summed[width:] - summed[:-width]).astype(np.float32)


def _peaks(steepness: NDArray[np.float32], level: float, apart: int) -> NDArray[np.intp]:
    peaks: list[int] = []
    free_from = 0
    for index in np.flatnonzero(steepness > level).tolist():
        if index >= free_from:
            peaks.append(index + int(np.argmax(steepness[index : index + apart])))
            free_from = peaks[-1] + apart
    return np.array(peaks, np.intp)


def _median_beat(grid: NDArray[np.float32], peaks: NDArray[np.intp], rate: float) -> NDArray[np.float32] | None:
    before, after = round(BEFORE_R * rate), round(AFTER_R * rate)
    whole = peaks[(peaks >= before) & (peaks + after <= grid.shape[1])]
    if len(whole) < MIN_BEATS:
        return None
    beat = median_over_rows(np.array([grid[:, peak - before : peak + after] for peak in whole.tolist()]))
    beat -= beat.mean(axis=1, keepdims=True)
    return beat
