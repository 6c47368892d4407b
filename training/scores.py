"""Scores of a classifier: ROC AUC with bootstrap intervals, and what its thresholds do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import nn

from inference.labels import Superclass
from training.datasets.prepared import Prepared

BOOTSTRAP_RESAMPLES = 1000
CONFIDENCE = 95.0  # per cent
PREDICT_BATCH = 64

COLUMNS = {superclass: column for column, superclass in enumerate(Superclass)}

Labels = NDArray[np.float32]  # (recordings, 5)
Probabilities = NDArray[np.float32]  # (recordings, 5)
Score = Callable[[Labels, Probabilities], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with the bounds of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def predict(network: nn.Module, data: Prepared) -> Probabilities:
    """Probabilities (recordings, 5) of whole recordings by an `EcgNetwork`; leaves the network in evaluation mode."""
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(data), PREDICT_BATCH):
            rows = slice(start, start + PREDICT_BATCH)
            signal = torch.from_numpy(np.array(data.signals[rows]))
            found.append(torch.sigmoid(network(signal, torch.from_numpy(data.features[rows]))).numpy())
    return np.concatenate(found)


def class_auc(labels: Labels, probabilities: Probabilities, superclass: Superclass) -> float:
    """ROC AUC of one class, as the Mann-Whitney statistic; NaN when all recordings agree on the class.

    scikit-learn's function checks its arguments for longer than this takes, and a bootstrap calls it 5,000 times.
    """
    column = COLUMNS[superclass]
    truth = labels[:, column] == 1
    positives = np.count_nonzero(truth)
    pairs = positives * (len(truth) - positives)
    if pairs == 0:
        return float("nan")
    ranks = rankdata(probabilities[:, column])
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / pairs)


def macro_auc(labels: Labels, probabilities: Probabilities) -> float:
    """Mean over the classes that have both kinds of recordings. Raises ValueError when none has."""
    scores = [auc for c in Superclass if not np.isnan(auc := class_auc(labels, probabilities, c))]
    if not scores:
        raise ValueError("no class has both positive and negative recordings")
    return float(np.mean(scores))


def bootstrap(score: Score, labels: Labels, probabilities: Probabilities, seed: int = 0) -> Interval:
    """Percentile bootstrap over recordings (Efron 1979). Resamples in which the score is not defined are left out."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(labels), len(labels)) for _ in range(BOOTSTRAP_RESAMPLES))
    scores = [score(labels[rows], probabilities[rows]) for rows in draws]
    tail = (100 - CONFIDENCE) / 2
    low, high = np.nanpercentile(scores, [tail, 100 - tail])
    return Interval(score(labels, probabilities), float(low), float(high))


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One superclass in one set of recordings. auc: None where all recordings agree. sensitivity and specificity are
    those of the threshold, None without recordings of that kind."""

    positives: int
    auc: Interval | None
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """A classifier on one set of recordings."""

    recordings: int
    macro_auc: Interval
    classes: Mapping[Superclass, ClassScores]


def assess(labels: Labels, probabilities: Probabilities, thresholds: Mapping[Superclass, float]) -> Assessment:
    """All scores of one set of recordings. Raises ValueError when no AUC can be calculated."""
    return Assessment(
        recordings=len(labels),
        macro_auc=bootstrap(macro_auc_or_nan, labels, probabilities),
        classes={c: _assess_class(labels, probabilities, c, thresholds[c]) for c in Superclass},
    )


def macro_auc_or_nan(labels: Labels, probabilities: Probabilities) -> float:
    """As `macro_auc`, but NaN where that is not defined, as `bootstrap` wants it."""
    varied = (labels.min(axis=0) != labels.max(axis=0)).any()
    return macro_auc(labels, probabilities) if varied else float("nan")


def _assess_class(
    labels: Labels, probabilities: Probabilities, superclass: Superclass, threshold: float
) -> ClassScores:
    column = COLUMNS[superclass]
    truth, decided = labels[:, column] == 1, probabilities[:, column] >= threshold
    both = bool(truth.any() and not truth.all())
    return ClassScores(
        positives=int(truth.sum()),
        auc=bootstrap(partial(class_auc, superclass=superclass), labels, probabilities) if both else None,
        sensitivity=float(decided[truth].mean()) if truth.any() else None,
        specificity=float(1 - decided[~truth].mean()) if not truth.all() else None,
    )
