"""Scores of a classifier on one set of recordings: how it ranks, what its thresholds decide, how far its probabilities
can be taken at their word. A label that is NaN is unknown and counts for nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.labels import Superclass
from training.bootstrap import Interval, Statistic, bootstrap, evaluate_once, interval, mean_of, ratio, resampled
from training.datasets.prepared import Prepared
from training.ranking import Probability, Truth, auc, average_precision
from training.reliability import brier, calibration_error, recalibration

PREDICT_BATCH = 64

# What a model must surpass to be promoted; the share of resamples above it says how sure that is.
GOAL = 0.90

COLUMNS = {superclass: column for column, superclass in enumerate(Superclass)}

Labels = NDArray[np.float32]  # (recordings, 5) of 0, 1 and NaN for unknown
Probabilities = NDArray[np.float32]  # (recordings, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScores:
    """One superclass. recordings: those whose label is known. A score is None where it is not defined, such as the
    sensitivity without positives. f1, sensitivity, specificity: at the threshold. calibration_*: see
    `training.reliability`."""

    recordings: int
    positives: int
    auc: Interval | None
    average_precision: Interval | None
    f1: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    brier: Interval | None
    calibration_error: Interval | None
    calibration_slope: Interval | None
    calibration_intercept: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A classifier on one set of recordings. share_above_goal: of the resamples, those whose macro-AUC is above
    `GOAL`."""

    recordings: int
    patients: int
    macro_auc: Interval
    share_above_goal: float
    macro_average_precision: Interval
    classes: Mapping[Superclass, ClassScores]


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
    """ROC AUC of one class; NaN when all recordings agree on it."""
    column = COLUMNS[superclass]
    return evaluate_once(auc(labels[:, column], probabilities[:, column]), len(labels))


def macro_auc(labels: Labels, probabilities: Probabilities) -> float:
    """Mean over the classes that have both kinds of recordings. Raises ValueError when none has."""
    value = evaluate_once(macro_auc_statistic(labels, probabilities), len(labels))
    if np.isnan(value):
        raise ValueError("no class has both positive and negative recordings")
    return value


def macro_auc_statistic(labels: Labels, probabilities: Probabilities) -> Statistic:
    """As `macro_auc`, for the bootstrap."""
    return mean_of([auc(labels[:, c], probabilities[:, c]) for c in COLUMNS.values()])


def assess(
    labels: Labels,
    probabilities: Probabilities,
    thresholds: Mapping[Superclass, float],
    patients: Sequence[str] | None = None,
) -> Assessment:
    """All scores of one set of recordings. patients: one per recording, for the intervals; None when each recording
    is of another patient. Raises ValueError when no AUC can be calculated."""
    value = macro_auc(labels, probabilities)
    draws = resampled(macro_auc_statistic(labels, probabilities), len(labels), patients)
    precision = mean_of([average_precision(labels[:, c], probabilities[:, c]) for c in COLUMNS.values()])
    return Assessment(
        recordings=len(labels),
        patients=len(labels) if patients is None else len(set(patients)),
        macro_auc=interval(value, draws),
        share_above_goal=float(np.mean(draws[~np.isnan(draws)] > GOAL)),
        macro_average_precision=interval(  # defined wherever the AUC is
            evaluate_once(precision, len(labels)), resampled(precision, len(labels), patients)
        ),
        classes={
            c: assess_class(labels[:, column], probabilities[:, column], thresholds[c], patients)
            for c, column in COLUMNS.items()
        },
    )


def assess_class(
    truth: Truth, probability: Probability, threshold: float, patients: Sequence[str] | None = None
) -> ClassScores:
    """All scores of one superclass."""
    statistics = {
        "auc": auc(truth, probability),
        "average_precision": average_precision(truth, probability),
        **decision_statistics(truth, probability >= threshold),
        "brier": brier(truth, probability),
        "calibration_error": calibration_error(truth, probability),
    }
    slope, intercept = recalibration(truth, probability) or (None, None)
    return ClassScores(
        recordings=int((~np.isnan(truth)).sum()),
        positives=int((truth == 1).sum()),
        calibration_slope=slope,
        calibration_intercept=intercept,
        **{name: bootstrap(statistic, len(truth), patients) for name, statistic in statistics.items()},
    )


def decision_statistics(truth: Truth, decided: NDArray[np.bool_]) -> dict[str, Statistic]:
    """What comes of a threshold: `f1`, `sensitivity` and `specificity`. decided: (recordings,)."""
    positive, negative = truth == 1, truth == 0  # NaN is neither
    called = decided & (positive | negative)
    return {
        "f1": ratio(2.0 * (called & positive), 1.0 * called + positive),
        "sensitivity": ratio(called & positive, positive),
        "specificity": ratio(negative & ~called, negative),
    }
