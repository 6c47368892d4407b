"""Whether a probability of 0.7 comes true seven times in ten: Brier score, calibration error, slope and intercept.

Slope and intercept are those of the logistic recalibration of Cox (Biometrika 45:562, 1958): 1 and 0 for calibrated
probabilities; a slope below 1 says that they are too extreme, an intercept below 0 that they are too high.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from training.bootstrap import Interval, Statistic, Weights, ratio
from training.ranking import Probability, Truth

BINS = 10  # of equal size in recordings, so that none is empty
LEAST_PROBABILITY = 1e-6  # the logit of 0 is infinite

NORMAL_95 = 1.959964  # standard errors to each side

NEWTON_STEPS = 50
CONVERGED = 1e-8
# Beyond this the classes are separated and the maximum lies at infinity.
MAX_SLOPE = 100.0


@dataclass(frozen=True, slots=True)
class Bin:
    """One tenth of the recordings. predicted: mean probability. observed: share of positives."""

    recordings: int
    predicted: float
    observed: float
    positives: int


def brier(truth: Truth, probability: Probability) -> Statistic:
    """Mean squared error of the probability; smaller is better."""
    known = ~np.isnan(truth)
    return ratio(np.where(known, (probability - np.nan_to_num(truth)) ** 2, 0), known)


def calibration_error(truth: Truth, probability: Probability) -> Statistic:
    """Expected calibration error: how far mean probability and share of positives lie apart, over ten bins of equal
    size. It is above 0 by chance alone, the more so the fewer recordings there are."""
    bins = _bins(truth, probability)
    excess = np.zeros((len(bins), len(truth)))
    for number, rows in enumerate(bins):
        excess[number, rows] = probability[rows] - truth[rows]
    known = (~np.isnan(truth)).astype(np.float64)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            error: NDArray[np.float64] = np.abs(excess @ weights).sum(axis=0) / (known @ weights)
        return error

    return statistic


def reliability_bins(truth: Truth, probability: Probability) -> tuple[Bin, ...]:
    """What `calibration_error` compares, by rising probability."""
    return tuple(
        Bin(len(rows), float(probability[rows].mean()), float(truth[rows].mean()), int(truth[rows].sum()))
        for rows in _bins(truth, probability)
    )


def recalibration(truth: Truth, probability: Probability) -> tuple[Interval, Interval] | None:
    """Slope and intercept with Wald intervals; None where they are not defined: one kind only, or separated."""
    known = ~np.isnan(truth)
    observed = truth[known].astype(np.float64)
    if not 0 < observed.sum() < len(observed):
        return None
    clipped = np.clip(probability[known].astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    design = np.column_stack([logit(clipped), np.ones(len(observed))])
    fitted = _fit(design, observed)
    if fitted is None:
        return None
    values, errors = fitted
    slope, intercept = (
        Interval(float(value), float(value - NORMAL_95 * error), float(value + NORMAL_95 * error))
        for value, error in zip(values, errors, strict=True)
    )
    return slope, intercept


def _fit(design: NDArray[np.float64], observed: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...] | None:
    """Logistic regression by Newton's method: coefficients and standard errors; None when it does not converge."""
    values = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS):
        expected = expit(design @ values)
        information = design.T @ (design * (expected * (1 - expected))[:, None])
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1 / CONVERGED:
            return None
        step = np.linalg.solve(information, design.T @ (observed - expected))
        values = values + step
        if abs(values[0]) > MAX_SLOPE:
            return None
        if np.abs(step).max() < CONVERGED:
            return values, np.sqrt(np.diag(np.linalg.inv(information)))
    return None


def _bins(truth: Truth, probability: Probability) -> list[NDArray[np.intp]]:
    """Rows of each bin; fewer bins where there are fewer recordings."""
    known = np.flatnonzero(~np.isnan(truth))
    rows = known[np.argsort(probability[known], kind="stable")]
    return [part for part in np.array_split(rows, BINS) if len(part)]
