"""Beats laid over each other: by the best correlation of each with the template of the beats that look alike."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.diagnostic import DETECTION_RATE, Signal
from inference.median import middle

_QRS_HALF = round(0.09 * DETECTION_RATE)
_MAX_LAG = round(0.05 * DETECTION_RATE)
_MARGIN = _QRS_HALF + _MAX_LAG
_WIDTH = 2 * _QRS_HALF + 1
_WIDE = 2 * _MARGIN + 1
_LAGS = 2 * _MAX_LAG + 1
_ALIKE = 0.85
_EDGE = round(0.12 * DETECTION_RATE)


def aligned(qrs: Signal, rough: NDArray[np.intp]) -> tuple[NDArray[np.float64], Signal, NDArray[np.bool_]]:
    """R positions (fractional samples of `qrs`), correlation of each beat with the template, and the typical beats.

    qrs: float32 (leads, n) at DETECTION_RATE. rough: int (k,), at least one, positions to within some 10 ms.
    """
    leads, samples = qrs.shape
    padded = np.zeros((leads, samples + 2 * _MARGIN), np.float32)
    padded[:, _MARGIN:-_MARGIN] = qrs
    wide = np.array([padded[:, start : start + _WIDE] for start in rough.tolist()])
    energy = _energy(wide)
    shifts = np.zeros(len(rough))
    for _ in range(2):
        cut = _cut(wide, shifts)
        typical = _largest_family(cut)
        template = middle(cut[typical].transpose(1, 2, 0))
        shifts, similarity = _best_shifts(wide, energy, template)
    positions = rough + (shifts + _summit(template))
    # Filters of the source ring at both ends of a recording; what is there is a beat only if it looks like one.
    kept = ((positions > _EDGE) & (positions < samples - _EDGE)) | typical
    return positions[kept], similarity[kept], typical[kept]


def _cut(wide: Signal, shifts: NDArray[np.float64]) -> Signal:
    """QRS windows (k, leads, _WIDTH) out of the wider ones, moved by whole samples."""
    starts = (_MAX_LAG + np.rint(shifts).astype(np.intp)).tolist()
    return np.array([beat[:, start : start + _WIDTH] for beat, start in zip(wide, starts, strict=True)])


def _largest_family(cut: Signal) -> NDArray[np.bool_]:
    """Which beats (k, leads, m) resemble the beat that resembles most others."""
    flat = cut.reshape(len(cut), -1)
    products = flat @ flat.T
    size = np.maximum(np.sqrt(products.diagonal()), np.float32(1e-6))
    alike = products / (size * size[:, np.newaxis])
    near = alike > _ALIKE
    family: NDArray[np.bool_] = near[(near.sum(axis=1) + alike.sum(axis=1) / len(cut)).argmax()]
    return family


def _best_shifts(wide: Signal, energy: Signal, template: Signal) -> tuple[NDArray[np.float64], Signal]:
    """For each beat the shift (fractional samples) of best correlation with the template, and that correlation."""
    beats = len(wide)
    products = (wide.reshape(beats, -1) @ _shifted_copies(template))[:, ::-1]
    flat = template.ravel()
    correlation = products / np.maximum(energy * np.sqrt(flat @ flat), np.float32(1e-6))
    best = np.minimum(np.maximum(correlation.argmax(axis=1), 1), _LAGS - 2)
    rows = np.arange(beats)
    before, top, after = correlation[rows, best - 1], correlation[rows, best], correlation[rows, best + 1]
    offset = _vertex(before, top, after)
    return best + offset.astype(np.float64) - _MAX_LAG, top


def _vertex(before: Signal, top: Signal, after: Signal) -> Signal:
    """Where, in samples from the middle one, the parabola through three neighbouring values is highest."""
    curvature = np.minimum(before - 2 * top + after, np.float32(-1e-6))
    offset: Signal = np.minimum(np.maximum(0.5 * (before - after) / curvature, -0.5), 0.5)
    return offset


def _energy(wide: Signal) -> Signal:
    """Size (root of the summed squares) of each beat under the template at each lag, (k, _LAGS)."""
    summed = np.zeros((len(wide), _WIDE + 1), np.float32)
    np.cumsum(np.einsum("klm,klm->km", wide, wide), axis=1, out=summed[:, 1:])
    size: Signal = np.sqrt(np.maximum(summed[:, _WIDTH:] - summed[:, :-_WIDTH], np.float32(0)))
    return size


def _shifted_copies(template: Signal) -> Signal:
    """The template (leads, _WIDTH) at each lag, the last first: (leads * _WIDE, _LAGS).

    With it, correlation at all lags is one matrix product."""
    reach = 2 * _MAX_LAG
    padded = np.zeros((len(template), _WIDTH + 2 * reach), np.float32)
    padded[:, reach:-reach] = template
    return padded.take(_copies(len(template), padded.shape[1]))


@lru_cache(maxsize=4)  # numbers of leads
def _copies(leads: int, padded: int) -> NDArray[np.intp]:
    """Where in the padded template (leads, padded) each value of its shifted copies stands."""
    lead, sample, lag = np.ogrid[:leads, :_WIDE, :_LAGS]
    return np.reshape(lead * padded + sample + lag, (-1, _LAGS))


def _summit(template: Signal) -> float:
    """Offset of R from the middle of the template: where the leads together are largest."""
    size = np.einsum("lm,lm->m", template, template)
    top = min(max(int(size.argmax()), 1), _WIDTH - 2)
    return top + float(_vertex(size[top - 1], size[top], size[top + 1])) - _QRS_HALF
