"""Bootstrap intervals over patients, all resamples in one array (Efron 1979; percentile method).

A resample is a column of counts: how often each recording was drawn. A statistic takes many of them at once and is the
same code for the value itself, whose counts are all 1. Patients are drawn, not recordings: two recordings of one
patient are not two independent ones. Equal seeds give equal draws, so that two models on one set compare pairwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

RESAMPLES = 1000
CONFIDENCE = 95.0  # per cent

# Counts that are held at once: 32 MB. A statistic makes a few arrays of that size.
MAX_CELLS = 4_000_000

Vector = NDArray[np.floating]  # (recordings,)
Mask = NDArray[np.bool_]  # (recordings,)
Weights = NDArray[np.float64]  # (recordings, resamples): how often each recording was drawn
Statistic = Callable[[Weights], NDArray[np.float64]]  # (resamples,), NaN where it is not defined


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def evaluate_once(statistic: Statistic, recordings: int) -> float:
    """The statistic of the recordings as they are; NaN where it is not defined."""
    return float(statistic(np.ones((recordings, 1)))[0])


def resampled(
    statistic: Statistic, recordings: int, patients: Sequence[str] | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """The statistic in each resample, (RESAMPLES,). patients: one per recording; None when each is its own."""
    given = None if patients is None else tuple(patients)
    if recordings * RESAMPLES <= MAX_CELLS:
        return statistic(_all_draws(recordings, given, seed))
    owner, count = _owners(recordings, given)
    rng = np.random.default_rng(seed)
    columns = max(1, MAX_CELLS // recordings)
    sizes = [min(columns, RESAMPLES - start) for start in range(0, RESAMPLES, columns)]
    return np.concatenate([statistic(_draw(rng, size, count)[owner]) for size in sizes])


def bootstrap(
    statistic: Statistic, recordings: int, patients: Sequence[str] | None = None, seed: int = 0
) -> Interval | None:
    """The statistic with its interval; None where it is not defined. Resamples in which it is not are left out."""
    value = evaluate_once(statistic, recordings)
    if np.isnan(value):
        return None
    return interval(value, resampled(statistic, recordings, patients, seed))


def interval(value: float, draws: NDArray[np.float64]) -> Interval:
    """The percentile interval of draws that may hold NaN (but not only)."""
    low, high = percentiles(draws)
    return Interval(value, float(low), float(high))


def percentiles(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper bound over the first axis: of one figure, or of each point of a curve."""
    tail = (100 - CONFIDENCE) / 2
    low, high = np.nanpercentile(draws, [tail, 100 - tail], axis=0)
    return low, high


def wilson(count: int, recordings: int) -> Interval:
    """A share with its Wilson interval (JASA 22:209, 1927), which holds for small groups and shares of 0 and 1, where
    resampling shows no spread. Raises ValueError for no recordings."""
    bounds = binomtest(count, recordings).proportion_ci(CONFIDENCE / 100, method="wilson")
    return Interval(count / recordings, float(bounds.low), float(bounds.high))


def ratio(numerator: Vector | Mask, denominator: Vector | Mask) -> Statistic:
    """Sum of one quantity over the sum of another: a share, a mean, F1."""
    above, below = numerator.astype(np.float64), denominator.astype(np.float64)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient: NDArray[np.float64] = (above @ weights) / (below @ weights)
        return np.where(np.isfinite(quotient), quotient, np.nan)

    return statistic


def lowest_over_highest(statistics: Sequence[Statistic]) -> Statistic:
    """Of several figures the lowest over the highest; NaN where any of them is, or all are 0."""

    def statistic(weights: Weights) -> NDArray[np.float64]:
        values = np.stack([each(weights) for each in statistics])
        with np.errstate(invalid="ignore", divide="ignore"):
            quotient: NDArray[np.float64] = values.min(axis=0) / values.max(axis=0)
        return quotient

    return statistic


def mean_of(statistics: Sequence[Statistic]) -> Statistic:
    """The mean over those that are defined in a resample; NaN where none is."""

    def statistic(weights: Weights) -> NDArray[np.float64]:
        values = np.stack([each(weights) for each in statistics])
        defined = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float64] = np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)
        return mean

    return statistic


# A report asks dozens of statistics of one group before it turns to the next.
@lru_cache(maxsize=2)
def _all_draws(recordings: int, patients: tuple[str, ...] | None, seed: int) -> Weights:
    owner, count = _owners(recordings, patients)
    weights = _draw(np.random.default_rng(seed), RESAMPLES, count)[owner]
    weights.setflags(write=False)
    return weights


def _owners(recordings: int, patients: tuple[str, ...] | None) -> tuple[NDArray[np.intp], int]:
    """Index of each recording's patient, and how many patients there are."""
    if patients is None:
        return np.arange(recordings), recordings
    if len(patients) != recordings:
        raise ValueError(f"{len(patients)} patients for {recordings} recordings")
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    return owner, len(names)


def _draw(rng: np.random.Generator, resamples: int, count: int) -> Weights:
    drawn = rng.integers(0, count, (resamples, count)) * resamples + np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(count, resamples).astype(np.float64)
