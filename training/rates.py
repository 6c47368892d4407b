"""Shares of groups and how far they lie apart: fairlearn's measures, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_ratio,
    equalized_odds_difference,
    equalized_odds_ratio,
    false_positive_rate,
    true_positive_rate,
)
from numpy.typing import NDArray

from training.bootstrap import Interval, Mask, interval, lowest_over_highest, ratio, resampled, wilson

Groups = Mapping[str, Mask]


@dataclass(frozen=True, slots=True)
class Rate:
    """count of recordings, as a share with its Wilson interval; None of no recordings."""

    count: int
    recordings: int
    share: Interval | None


@dataclass(frozen=True, slots=True)
class OddsGap:
    """Equalized odds of one decision. difference: the larger of the spreads of true and false positive rate over the
    groups, 0 at best. ratio: the smaller of their lowest-over-highest, 1 at best. The rates are by group."""

    difference: float
    ratio: float
    true_positive_rate: Mapping[str, float]
    false_positive_rate: Mapping[str, float]


def rates(hits: Mask) -> Rate:
    """The share of a group that is hit."""
    count, recordings = int(hits.sum()), len(hits)
    return Rate(count, recordings, wilson(count, recordings) if recordings else None)


def parity_ratio(hits: Mask, groups: Groups, patients: Sequence[str] | None = None) -> Interval | None:
    """Lowest over highest share of hits of disjoint groups, with its bootstrap interval; None when nobody is hit."""
    rows, names = _memberships(groups)
    if not hits[rows].any():
        return None
    shares = lowest_over_highest([ratio(hits & mask, mask) for mask in groups.values()])
    value = demographic_parity_ratio(hits[rows], hits[rows], sensitive_features=names)
    return interval(float(value), resampled(shares, len(hits), patients))


def odds_gap(truth: NDArray[np.float64], decided: Mask, groups: Groups) -> OddsGap | None:
    """How far groups lie apart in their true and false positive rates; None for fewer than two groups. truth:
    (recordings,) of 0, 1 and NaN, which is left out; each group needs both kinds."""
    if len(groups) < 2:
        return None
    known = ~np.isnan(truth)
    rows, names = _memberships({name: mask & known for name, mask in groups.items()})
    given = {"y_true": truth[rows].astype(int), "y_pred": decided[rows].astype(int), "sensitive_features": names}
    by_group = MetricFrame(metrics={"tpr": true_positive_rate, "fpr": false_positive_rate}, **given).by_group
    return OddsGap(
        difference=float(equalized_odds_difference(**given)),
        ratio=float(equalized_odds_ratio(**given)),
        true_positive_rate={name: float(by_group["tpr"][name]) for name in groups},
        false_positive_rate={name: float(by_group["fpr"][name]) for name in groups},
    )


def _memberships(groups: Groups) -> tuple[NDArray[np.intp], list[str]]:
    """Rows that belong to a group, and the group of each."""
    rows = [np.flatnonzero(mask) for mask in groups.values()]
    names = [name for name, mask in groups.items() for _ in range(int(mask.sum()))]
    return np.concatenate(rows), names
