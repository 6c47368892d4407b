"""Whether a column of a window is drawn from what it was: tests, corrected for their number, and how large a shift is.

Numbers by the two-sample Kolmogorov-Smirnov test; its statistic, the largest distance of both distribution functions,
is the size of the shift. Categories by the chi-squared test of homogeneity, without Yates' correction, which treats the
reference as the sample that it is; with two categories and few expected, by Fisher's exact test. Of categories the size
of the shift is the total variation distance: half the sum of the differences of shares.

P-values are adjusted by Holm's step-down method (Scand J Stat 6:65, 1979), which holds however the columns depend on
each other. With large samples the slightest difference is significant; so a shift is flagged only if it also is large
enough to matter.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.monitoring.columns import Column, Family, Sample

ALPHA = 0.001  # of a whole report: the chance that anything is flagged where nothing has changed
MIN_ECGS = 50  # known values on either side
MIN_EXPECTED = 5.0  # in each cell of the chi-squared test (Cochran, Biometrics 10:417, 1954)
LEAST_DISTANCE = 0.25  # of distribution functions: a quarter of the ECGs lie where they did not
LEAST_VARIATION = 0.1  # of shares

OTHER = "other"

KS, CHI_SQUARED, FISHER = "Kolmogorov-Smirnov", "chi-squared", "Fisher exact"

Found = tuple[str, float | None, float, float]  # name of the test, statistic, p-value, effect


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftTest:
    """One test. statistic, p_value, effect: None where there are too few to test. effect: how large the shift is, 0 to
    1. least: the effect from which on it matters. n, n_reference: known values. reference, current: both sides, for a
    reader."""

    name: str
    family: Family
    test: str
    statistic: float | None
    p_value: float | None
    effect: float | None
    least: float
    n: int
    n_reference: int
    against: str
    reference: Any = None
    current: Any = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A test among all of its report. p_adjusted, flag: None where there were too few."""

    tested: ShiftTest
    p_adjusted: float | None
    flag: bool | None


def compare(column: Column, current: Sample, reference: Sample, against: str) -> ShiftTest:
    """Test one column. against: what the reference is."""
    return compare_values(column, current.known(column.name), reference.known(column.name), against)


def compare_values(column: Column, now: NDArray[Any], then: NDArray[Any], against: str) -> ShiftTest:
    """The same of its values, all known."""
    usual, find, summary, least = NUMBERS if column.numeric else WORDS
    few = min(len(now), len(then)) < MIN_ECGS
    test, statistic, p_value, effect = (usual, None, None, None) if few else find(now, then)
    return ShiftTest(
        name=column.name,
        family=column.family,
        test=test,
        statistic=statistic,
        p_value=p_value,
        effect=effect,
        least=least,
        n=len(now),
        n_reference=len(then),
        against=against,
        reference=summary(then),
        current=summary(now),
    )


def judge(tests: Sequence[ShiftTest], alpha: float = ALPHA) -> tuple[Judged, ...]:
    """All tests of a report, in their order."""
    places = [place for place, test in enumerate(tests) if test.p_value is not None]
    adjusted = dict(zip(places, holm([tests[place].p_value or 0.0 for place in places]), strict=True))
    return tuple(_judged(test, adjusted.get(place), alpha) for place, test in enumerate(tests))


def _judged(test: ShiftTest, p_adjusted: float | None, alpha: float) -> Judged:
    if p_adjusted is None or test.effect is None:
        return Judged(test, None, None)
    return Judged(test, p_adjusted, p_adjusted < alpha and test.effect >= test.least)


def kolmogorov_smirnov(now: NDArray[Any], then: NDArray[Any]) -> Found:
    """Its effect is its statistic."""
    found = stats.ks_2samp(then, now, method="asymp")
    return KS, float(found.statistic), float(found.pvalue), float(found.statistic)


def homogeneity(now: NDArray[Any], then: NDArray[Any]) -> Found:
    """Where there is one category only nothing differs.

    Categories with too few are taken together as `other`. One that only one side has counts like any other."""
    table = _merged(_table(now, then))
    if table.shape[1] < 2:
        return CHI_SQUARED, 0.0, 1.0, 0.0
    by_side = table / table.sum(axis=1, keepdims=True)
    effect = float(np.abs(by_side[0] - by_side[1]).sum() / 2)
    expected = stats.contingency.expected_freq(table)
    if table.shape[1] == 2 and expected.min() < MIN_EXPECTED:
        found = stats.fisher_exact(table)
        return FISHER, None, float(found.pvalue), effect
    chi = stats.chi2_contingency(table, correction=False)
    return CHI_SQUARED, float(chi.statistic), float(chi.pvalue), effect


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order. (That of statsmodels runs the garbage collector in each call.)"""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    found: list[float] = adjusted.tolist()
    return found


def _table(now: NDArray[Any], then: NDArray[Any]) -> NDArray[np.int64]:
    """(2, categories), most frequent first."""
    counts = Counter(now.tolist()), Counter(then.tolist())
    names = sorted({*counts[0], *counts[1]}, key=lambda name: (-counts[0][name] - counts[1][name], name))
    return np.array([[side[name] for name in names] for side in counts], np.int64)


def _merged(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest categories taken together until each is expected often enough, or two are left."""
    while table.shape[1] > 2 and stats.contingency.expected_freq(table).min() < MIN_EXPECTED:
        table = np.column_stack([table[:, :-2], table[:, -2] + table[:, -1]])
        table = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    return table


def quartiles(values: NDArray[Any]) -> dict[str, float] | None:
    """Median and quartiles; None of nothing."""
    if not len(values):
        return None
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return {"median": middle, "q1": low, "q3": high}


def shares(values: NDArray[Any], most: int = 10) -> dict[str, float]:
    """Of the most frequent categories; the rest as `other`."""
    counts = Counter(values.tolist())
    listed = {name: count / len(values) for name, count in counts.most_common(most)}
    rest = 1 - sum(listed.values()) if len(counts) > most else 0.0
    return listed | ({OTHER: rest} if rest else {})


def side_text(summary: Any) -> str:
    """One side of a test, in a few words."""
    if isinstance(summary, float):
        return f"{summary:.2f}"
    if not summary:
        return ""
    if "median" in summary:
        return f"{summary['median']:.3g}"
    return ", ".join(f"{name} {share:.0%}" for name, share in summary.items())


# The usual test, how it is made, what a reader is shown of either side, and the least effect.
NUMBERS = (KS, kolmogorov_smirnov, quartiles, LEAST_DISTANCE)
WORDS = (CHI_SQUARED, homogeneity, shares, LEAST_VARIATION)
