"""Whether a model serves women and men, young and old alike, judged by what the service would say.

Four questions, each by sex and by age:

- Demographic parity: what share of each group's results is urgent; the lowest share over the highest.
- Predicted against true: the urgent rate over the one that the true labels would give. Disease, and with it the true
  rate, grows with age, so that equal rates across ages would be wrong; equal ratios are what can be asked for.
- Equalized odds (Hardt et al., NeurIPS 2016): how far the groups' true and false positive rates lie apart.
- Performance: AUC, sensitivity and specificity of each group.

Groups of fewer than `MIN_GROUP` are listed, not judged; nor is a ratio to fewer than `MIN_POSITIVES` truly urgent
recordings. Parity, odds and the groups' rates come from fairlearn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.labels import Superclass
from inference.recording import Sex
from training.bootstrap import Interval, Mask, Statistic, bootstrap, evaluate_once, lowest_over_highest, ratio
from training.groups import MIN_GROUP, GroupScore, enough, group_score, members
from training.rates import OddsGap, Rate, odds_gap, parity_ratio, rates
from training.scores import COLUMNS, Labels, Probabilities

ADULT_AGE = 18.0  # younger patients are outside of the intended use and get no recommendation

LEAST_RATIO = 0.8  # the four-fifths rule

URGENCY = "urgent"  # the name of the decision `urgent`, beside the superclasses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FairnessInput:
    """One row per recording.

    probabilities, labels: (n, 5), labels NaN where unknown. urgent: (n,) of bool, as served, and true_urgent: (n,) of
    0, 1 and NaN, by the true labels; see `training.urgency`. age: years, None where unknown. patients: None when each
    recording is of another. source: where the probabilities come from, in words for the report.
    """

    probabilities: Probabilities
    labels: Labels
    thresholds: Mapping[Superclass, float]
    urgent: Mask
    true_urgent: NDArray[np.float64]
    age: Sequence[float | None]
    sex: Sequence[Sex]
    patients: Sequence[str] | None = None
    source: str = "out of fold"

    def __post_init__(self) -> None:
        columns = (self.probabilities, self.labels, self.urgent, self.true_urgent, self.age, self.sex)
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f"columns differ in length: {[len(column) for column in columns]}")

    def __len__(self) -> int:
        return len(self.urgent)

    def only(self, rows: Mask) -> "FairnessInput":
        """These recordings."""
        chosen: list[int] = np.flatnonzero(rows).tolist()
        return FairnessInput(
            probabilities=self.probabilities[rows],
            labels=self.labels[rows],
            thresholds=self.thresholds,
            urgent=self.urgent[rows],
            true_urgent=self.true_urgent[rows],
            age=[self.age[i] for i in chosen],
            sex=[self.sex[i] for i in chosen],
            patients=None if self.patients is None else [self.patients[i] for i in chosen],
            source=self.source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFairness:
    """One group. urgent, true_urgent: rates with Wilson intervals. predicted_to_true: of the first over the second,
    where the truth is known. judged: large enough to enter the ratios."""

    recordings: int
    judged: bool
    urgent: Rate
    true_urgent: Rate
    predicted_to_true: Interval | None
    scores: GroupScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """All groups by sex, or by age. parity_ratio: lowest over highest urgent rate of the judged groups.
    predicted_to_true_ratio: lowest over highest of their `predicted_to_true`. odds: of each superclass and of
    `urgent`; None where fewer than two groups can be judged, as are the ratios."""

    groups: Mapping[str, GroupFairness]
    parity_ratio: Interval | None
    predicted_to_true_ratio: Interval | None
    odds: Mapping[str, OddsGap | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that the gate asks for. value: None where it could not be judged, which does not pass."""

    name: str
    value: float | None
    threshold: float = LEAST_RATIO

    @property
    def passed(self) -> bool:
        """At the threshold passes."""
        return self.value is not None and self.value >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessReport:
    """The answer. left_out: reason -> recordings that could not enter. source: as in `FairnessInput`."""

    recordings: int
    patients: int
    source: str
    left_out: Mapping[str, int]
    sex: Attribute
    age: Attribute
    conditions: tuple[Condition, ...]

    @property
    def passes(self) -> bool:
        """Whether every condition does."""
        return all(condition.passed for condition in self.conditions)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a card's `fairness`; `training.fairness_report` makes it readable."""
        conditions = [{**asdict(condition), "passed": condition.passed} for condition in self.conditions]
        return {**asdict(self), "conditions": conditions, "passes": self.passes}


def judge_fairness(given: FairnessInput) -> FairnessReport:
    """Judge the adults whose sex (female or male) and age are known."""
    kept, left_out = _eligible(given)
    rows = given.only(kept)
    found = {name: _attribute(rows, groups) for name, groups in members(rows.sex, rows.age).items()}
    return FairnessReport(
        recordings=len(rows),
        patients=len(rows) if rows.patients is None else len(set(rows.patients)),
        source=given.source,
        left_out=left_out,
        sex=found["sex"],
        age=found["age"],
        conditions=conditions(given),
    )


def conditions(given: FairnessInput) -> tuple[Condition, ...]:
    """What the gate asks for: parity by sex, and by age predicted against true. Without intervals, and so fast."""
    rows = given.only(_eligible(given)[0])
    groups = members(rows.sex, rows.age)
    by_sex = [ratio(rows.urgent & mask, mask) for mask in _judged(groups["sex"]).values()]
    by_age = [_predicted_to_true(rows, mask) for mask in _judged_by_truth(rows, groups["age"]).values()]
    figures = {
        "urgent rate by sex, lowest over highest": by_sex,
        "predicted over true urgent rate by age, lowest over highest": by_age,
    }
    return tuple(Condition(name=name, value=_compared(each, len(rows))) for name, each in figures.items())


def _compared(figures: Sequence[Statistic], recordings: int) -> float | None:
    value = evaluate_once(lowest_over_highest(figures), recordings) if len(figures) > 1 else np.nan
    return None if np.isnan(value) else value


def _judged(groups: Mapping[str, Mask]) -> dict[str, Mask]:
    return {name: mask for name, mask in groups.items() if mask.sum() >= MIN_GROUP}


def _judged_by_truth(rows: FairnessInput, groups: Mapping[str, Mask]) -> dict[str, Mask]:
    """A ratio to three truly urgent recordings would say nothing."""
    return {name: mask for name, mask in groups.items() if enough(rows.true_urgent[mask])}


def _eligible(given: FairnessInput) -> tuple[Mask, dict[str, int]]:
    known = np.array([a is not None and s in (Sex.FEMALE, Sex.MALE) for a, s in zip(given.age, given.sex, strict=True)])
    minor = np.array([a is not None and a < ADULT_AGE for a in given.age], bool)
    left_out = {
        "sex or age unknown": int((~known).sum()),
        f"under {ADULT_AGE:.0f}, outside of the intended use": int((known & minor).sum()),
    }
    return known.astype(bool) & ~minor, left_out


def _attribute(rows: FairnessInput, groups: Mapping[str, Mask]) -> Attribute:
    judged = _judged(groups)
    return Attribute(
        groups={name: _group(rows.only(mask), judged=name in judged) for name, mask in groups.items()},
        parity_ratio=parity_ratio(rows.urgent, judged, rows.patients) if len(judged) > 1 else None,
        predicted_to_true_ratio=_predicted_to_true_ratio(rows, _judged_by_truth(rows, groups)),
        odds=_odds(rows, judged),
    )


def _group(rows: FairnessInput, *, judged: bool) -> GroupFairness:
    known = ~np.isnan(rows.true_urgent)
    return GroupFairness(
        recordings=len(rows),
        judged=judged,
        urgent=rates(rows.urgent),
        true_urgent=rates(rows.true_urgent[known] == 1),
        predicted_to_true=(
            bootstrap(_predicted_to_true(rows, known), len(rows), rows.patients) if enough(rows.true_urgent) else None
        ),
        scores=group_score(rows.labels, rows.probabilities, rows.thresholds, rows.patients),
    )


def _predicted_to_true(rows: FairnessInput, among: Mask) -> Statistic:
    """Urgent results over truly urgent recordings, among some of them."""
    known = among & ~np.isnan(rows.true_urgent)
    truth = np.where(known, np.nan_to_num(rows.true_urgent), 0.0)
    return ratio(np.where(known, rows.urgent, 0.0), truth)


def _predicted_to_true_ratio(rows: FairnessInput, judged: Mapping[str, Mask]) -> Interval | None:
    if len(judged) < 2:
        return None
    each = [_predicted_to_true(rows, mask) for mask in judged.values()]
    return bootstrap(lowest_over_highest(each), len(rows), rows.patients)


def _odds(rows: FairnessInput, judged: Mapping[str, Mask]) -> dict[str, OddsGap | None]:
    decided = {
        c.value: (rows.labels[:, i].astype(np.float64), rows.probabilities[:, i] >= rows.thresholds[c])
        for c, i in COLUMNS.items()
    }
    decided[URGENCY] = (rows.true_urgent, rows.urgent)
    return {
        name: odds_gap(truth, made, {g: mask for g, mask in judged.items() if enough(truth[mask])})
        for name, (truth, made) in decided.items()
    }
