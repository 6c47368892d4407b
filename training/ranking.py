"""How well probabilities rank: ROC AUC, average precision, and the curves behind them, under bootstrap weights.

Recordings are sorted once; each resample is then a cumulative sum along them. Equal probabilities form one step of a
curve. A label that is NaN is unknown, and its recording left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import Statistic, Weights

Truth = NDArray[np.floating]  # (recordings,) of 0, 1 and NaN for unknown
Probability = NDArray[np.floating]  # (recordings,)
Curve = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Recordings with a known label by falling probability. rows: their indices. truth: 0 or 1. starts: where each
    step of equal probabilities begins. levels: the probability of each step."""

    rows: NDArray[np.intp]
    truth: NDArray[np.float64]
    starts: NDArray[np.intp]
    levels: NDArray[np.float64]

    def steps(self, weights: Weights) -> tuple[Curve, Curve]:
        """Positives and negatives of each step, both (steps, resamples)."""
        drawn = weights[self.rows]
        positives = drawn * self.truth[:, None]
        if len(self.starts) < len(self.rows):
            drawn = np.add.reduceat(drawn, self.starts, axis=0)
            positives = np.add.reduceat(positives, self.starts, axis=0)
        return positives, drawn - positives


def rank(truth: Truth, probability: Probability) -> Ranking:
    """Sort the recordings whose label is known."""
    known = np.flatnonzero(~np.isnan(truth))
    rows = known[np.argsort(-probability[known], kind="stable")]
    sorted_probability = probability[rows].astype(np.float64)
    starts = np.flatnonzero(np.diff(sorted_probability, prepend=np.inf) != 0)
    return Ranking(rows, truth[rows].astype(np.float64), starts, sorted_probability[starts])


def auc(truth: Truth, probability: Probability) -> Statistic:
    """Area under the ROC curve, as the Mann-Whitney statistic; ties count half. NaN without both kinds."""
    ranking = rank(truth, probability)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        positives, negatives = ranking.steps(weights)
        ahead = np.cumsum(positives, axis=0)
        total = _last(ahead)
        won = np.einsum("ij,ij->j", ahead - positives / 2, negatives)
        return _quotient(won, total * negatives.sum(axis=0))

    return statistic


def average_precision(truth: Truth, probability: Probability) -> Statistic:
    """Area under the precision-recall curve by steps, without interpolation. NaN without both kinds."""
    ranking = rank(truth, probability)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        positives, negatives = ranking.steps(weights)
        hits = np.cumsum(positives, axis=0)
        called = hits + np.cumsum(negatives, axis=0)
        precision = hits / np.maximum(called, 1)  # a step nobody was drawn from adds nothing
        value = _quotient(np.einsum("ij,ij->j", positives, precision), _last(hits))
        return np.where(_last(called) > _last(hits), value, np.nan)

    return statistic


def roc_at(ranking: Ranking, weights: Weights, false_positive_rates: Curve) -> Curve:
    """Sensitivity at given false-positive rates, (resamples, rates), along straight lines between the steps."""
    positives, negatives = (_shares(steps) for steps in ranking.steps(weights))
    curves = [np.interp(false_positive_rates, x, y) for x, y in zip(negatives.T, positives.T, strict=True)]
    return np.stack(curves)


def precision_recall(ranking: Ranking) -> tuple[Curve, Curve]:
    """Recall and precision after each step, both (steps,), of the recordings as they are."""
    recordings = int(ranking.rows.max()) + 1
    positives, negatives = (np.cumsum(steps) for steps in ranking.steps(np.ones((recordings, 1))))
    return positives / positives[-1], positives / (positives + negatives)


def _shares(steps: Curve) -> Curve:
    """Cumulative shares from 0 to 1, (steps + 1, resamples); NaN without any."""
    cumulative = np.vstack([np.zeros(steps.shape[1]), np.cumsum(steps, axis=0)])
    with np.errstate(invalid="ignore"):
        shares: Curve = cumulative / cumulative[-1]
    return shares


def _last(cumulative: Curve) -> Curve:
    """The totals, (resamples,); 0 of no recordings."""
    return cumulative[-1] if len(cumulative) else np.zeros(cumulative.shape[1])


def _quotient(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = above / below
    return np.where(below > 0, quotient, np.nan)
