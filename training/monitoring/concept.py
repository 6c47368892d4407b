"""Concept drift: whether the model's answers still mean what they meant, by the over-reads of clinicians.

- Agreement: the share of decisions that the clinician shares, for each superclass, against that of the validation.
- Calibration: Spiegelhalter's test (Stat Med 5:421, 1986): whether findings are as frequent as the probabilities say.
  It needs no reference. The size of a shift is how far the observed share lies from the mean probability.

What looks wrong is over-read sooner, so a finding here says "look", not "the model is worse".
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from inference.labels import Superclass
from training.monitoring.columns import NO, YES, Column, Family
from training.monitoring.shift_tests import LEAST_VARIATION, MIN_ECGS, ShiftTest, compare_values
from training.monitoring.truth import Truth

SPIEGELHALTER = "Spiegelhalter"

Agreement = Mapping[str, tuple[int, int]]  # superclass -> right decisions, of


def concept_tests(truth: Truth, agreement: Agreement, against: str) -> Iterator[ShiftTest]:
    """Two tests for each superclass. agreement: that on the reference;
    what it lacks cannot be judged."""
    for superclass in Superclass:
        labels, probabilities, thresholds = truth.column(superclass)
        known = ~(np.isnan(labels) | np.isnan(probabilities) | np.isnan(thresholds))
        labels, probabilities = labels[known], probabilities[known]
        right = (probabilities >= thresholds[known]) == (labels == 1)
        yield _agreement(superclass, right, agreement.get(superclass.value, (0, 0)), against)
        yield _calibration(superclass, labels, probabilities)


def spiegelhalter(labels: NDArray[np.float64], probabilities: NDArray[np.float64]) -> tuple[float, float]:
    """z and its two-sided p-value; (0, 1) where the probabilities leave nothing open."""
    variance = float(np.sum((1 - 2 * probabilities) ** 2 * probabilities * (1 - probabilities)))
    if variance == 0:
        return 0.0, 1.0
    z = float(np.sum((labels - probabilities) * (1 - 2 * probabilities))) / variance**0.5
    return z, float(2 * stats.norm.sf(abs(z)))


def _agreement(superclass: Superclass, right: NDArray[np.bool_], then: tuple[int, int], against: str) -> ShiftTest:
    column = Column(f"agreement {superclass.value}", Family.CONCEPT, numeric=False)
    return compare_values(column, _words(int(right.sum()), len(right)), _words(*then), against)


def _calibration(superclass: Superclass, labels: NDArray[np.float64], probabilities: NDArray[np.float64]) -> ShiftTest:
    few = len(labels) < MIN_ECGS
    z, p_value = (None, None) if few else spiegelhalter(labels, probabilities)
    observed, expected = (None, None) if few else (float(labels.mean()), float(probabilities.mean()))
    return ShiftTest(
        name=f"calibration {superclass.value}",
        family=Family.CONCEPT,
        test=SPIEGELHALTER,
        statistic=z,
        p_value=p_value,
        effect=None if observed is None or expected is None else abs(observed - expected),
        least=LEAST_VARIATION,
        n=len(labels),
        n_reference=0,
        against="what the probabilities say",
        reference=expected,
        current=observed,
    )


def _words(yes: int, of: int) -> NDArray[np.object_]:
    return np.array([YES] * yes + [NO] * (of - yes), dtype=object)
