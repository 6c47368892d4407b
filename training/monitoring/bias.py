"""Bias in live results: whether women and men, young and old get urgent results and right ones alike.

- Demographic parity needs no truth: the urgent rate of a group is the share of its live analyses whose highest urgency
  is immediate or urgent; the parity ratio is the lowest rate over the highest. Below four fifths it is flagged. By age
  a low ratio is to be expected, because disease grows with age: it is told, but nobody is woken for it.
- Equalized odds (Hardt et al., NeurIPS 2016) and performance parity need over-reads: how far true and false positive
  rates, and AUCs, of the groups lie apart.

Groups of fewer than `MIN_GROUP` are listed and not compared, nor is a superclass in a group with fewer than
`MIN_POSITIVES` of either kind. Two ECGs of one patient count as two: rows of the store name no patient.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.labels import Superclass
from training.bootstrap import Interval
from training.monitoring.groups import ALWAYS_LISTED, MIN_GROUP, UNKNOWN, groups_of
from training.monitoring.observed import HASTE, LIVE, AnalysisSeen, Observed, Window
from training.monitoring.outcome import Finding, Judgement, Outcome
from training.monitoring.shares import interval_json, lowest_over_highest, share
from training.monitoring.truth import Truth, class_auc, confusion, enough, gather

LEAST_RATIO = 0.8  # the four-fifths rule
ADULT_AGE = 18.0  # who is younger gets no recommendation

ATTRIBUTES = {"sex": "warning", "age": "info"}  # how soon somebody has to look


@dataclass(slots=True)
class GroupCount:
    """Analyses of one group. not_interpretable and minors can have no urgency, and are among n."""

    n: int = 0
    urgent: int = 0
    not_interpretable: int = 0
    minors: int = 0

    def add(self, row: AnalysisSeen) -> None:
        """Count one."""
        self.n += 1
        self.urgent += row.urgency in HASTE
        self.not_interpretable += not row.interpretable
        self.minors += row.age is not None and row.age < ADULT_AGE

    def to_json(self) -> dict[str, Any]:
        """With the urgent rate."""
        others = {"not_interpretable": self.not_interpretable, f"under_{ADULT_AGE:.0f}": self.minors}
        return share(self.urgent, self.n, "urgent") | others


Groups = Mapping[str, GroupCount]


@dataclass(frozen=True, slots=True)
class Tally:
    """groups: attribute -> group -> count. modes: analyses by mode; only live ones are in the groups."""

    groups: Mapping[str, dict[str, GroupCount]] = field(
        default_factory=lambda: {name: {group: GroupCount() for group in ALWAYS_LISTED[name]} for name in ATTRIBUTES}
    )
    modes: Counter[str] = field(default_factory=Counter)


def monitor(seen: Observed, window: Window) -> Outcome:
    """Look at the live results of a window, and at those that were over-read in it."""
    counted = tally(seen.analyses(window.begin, window.end))
    return judge(counted, gather(seen.overread(window.begin, window.end)))


def tally(rows: Iterable[AnalysisSeen]) -> Tally:
    """Count them; none is kept."""
    found = Tally()
    for row in rows:
        found.modes[row.mode] += 1
        if row.mode == LIVE:
            for name, group in groups_of(row.sex, row.age).items():
                found.groups[name].setdefault(group, GroupCount()).add(row)
    return found


def judge(counted: Tally, truth: Truth) -> Outcome:
    """The report."""
    parities = {name: parity(groups) for name, groups in counted.groups.items()}
    members = {name: _members(truth, name) for name in ATTRIBUTES}
    live = counted.modes[LIVE]
    content = {
        "analyses": live,
        "left_out": {mode: number for mode, number in sorted(counted.modes.items()) if mode != LIVE},
        "least_ratio": LEAST_RATIO,
        "least_group": MIN_GROUP,
        "groups": parities,
        "overreads": {"n": len(truth), "left_out": dict(truth.left_out)},
        "equalized_odds": {name: _by_class(odds, truth, groups) for name, groups in members.items()},
        "performance_parity": {name: _by_class(auc_parity, truth, groups) for name, groups in members.items()},
    }
    findings = tuple(_finding(name, severity, parities[name]) for name, severity in ATTRIBUTES.items())
    return Outcome(content=content, findings=findings)


def parity(groups: Groups) -> dict[str, Any]:
    """Demographic parity by one attribute. Who is in no known group is listed under `unknown`, and not compared."""
    listed = {name: count for name, count in groups.items() if name != UNKNOWN}
    compared = {name: count for name, count in listed.items() if count.n >= MIN_GROUP}
    ratio = lowest_over_highest([(count.urgent, count.n) for count in compared.values()])
    rates = {name: count.urgent / count.n for name, count in compared.items()}
    return {
        "ratio": ratio.value if ratio else None,
        "interval": {"low": ratio.low, "high": ratio.high} if ratio else None,
        "flag": ratio is not None and ratio.value < LEAST_RATIO,
        "judgement": _judgement(compared, ratio),
        "lowest": min(rates, key=lambda name: rates[name]) if ratio else None,
        "highest": max(rates, key=lambda name: rates[name]) if ratio else None,
        "groups": {name: _group(count, name in compared) for name, count in listed.items()},
        UNKNOWN: groups.get(UNKNOWN, GroupCount()).to_json(),
    }


def odds(truth: Truth, superclass: Superclass, groups: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Equalized odds of the decision for one superclass. A difference is that of the largest and the smallest rate."""
    found: dict[str, Any] = {}
    for name, rows in groups.items():
        labels, probabilities, thresholds = truth.only(rows).column(superclass)
        (hits, positives), (rejected, negatives) = confusion(labels, probabilities, thresholds).values()
        found[name] = {
            "judgement": Judgement.JUDGED if enough(labels) and positives and negatives else Judgement.TOO_FEW,
            "tpr": share(hits, positives),
            "fpr": share(negatives - rejected, negatives),
        }
    judged = [one for one in found.values() if one["judgement"] == Judgement.JUDGED]
    return {
        "judgement": Judgement.JUDGED if len(judged) > 1 else Judgement.TOO_FEW,
        "tpr_difference": _spread([one["tpr"]["rate"] for one in judged]),
        "fpr_difference": _spread([one["fpr"]["rate"] for one in judged]),
        "groups": found,
    }


def auc_parity(truth: Truth, superclass: Superclass, groups: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """How well the probability of one superclass ranks in each group."""
    found: dict[str, Any] = {}
    areas: list[float] = []
    for name, rows in groups.items():
        labels, probabilities, _ = truth.only(rows).column(superclass)
        area = class_auc(labels, probabilities)
        areas += [area.value] if area else []
        found[name] = {
            "n": int((labels == labels).sum()),  # NaN is unequal to itself
            "positives": int((labels == 1).sum()),
            "judgement": Judgement.JUDGED if area else Judgement.TOO_FEW,
            "auc": interval_json(area),
        }
    return {
        "judgement": Judgement.JUDGED if len(areas) > 1 else Judgement.TOO_FEW,
        "difference": _spread(areas),
        "groups": found,
    }


def _by_class(measure: Any, truth: Truth, groups: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {superclass.value: measure(truth, superclass, groups) for superclass in Superclass}


def _members(truth: Truth, attribute: str) -> dict[str, list[int]]:
    """Group -> rows. Nobody of an unknown group is compared."""
    found: dict[str, list[int]] = {name: [] for name in ALWAYS_LISTED[attribute]}
    for place, (row, _) in enumerate(truth.rows):
        found.setdefault(groups_of(row.sex, row.age)[attribute], []).append(place)
    found.pop(UNKNOWN, None)
    return found


def _group(count: GroupCount, compared: bool) -> dict[str, Any]:
    return count.to_json() | {"judgement": Judgement.JUDGED if compared else Judgement.TOO_FEW}


def _judgement(compared: Groups, ratio: Interval | None) -> Judgement:
    if len(compared) < 2:
        return Judgement.TOO_FEW
    return Judgement.JUDGED if ratio else Judgement.NOBODY_URGENT


def _spread(figures: Sequence[float]) -> float | None:
    return max(figures) - min(figures) if len(figures) > 1 else None


def _finding(attribute: str, severity: str, found: Mapping[str, Any]) -> Finding:
    title = f"Urgent rate by {attribute}"
    if found["judgement"] == Judgement.TOO_FEW:
        text = f"Fewer than two groups of {MIN_GROUP}."
    elif found["ratio"] is None:
        text = "Nobody had an urgent result."
    else:
        rates = (f"{name} {found['groups'][name]['rate']:.1%}" for name in (found["lowest"], found["highest"]))
        text = f"Lowest over highest {found['ratio']:.2f}, needed {LEAST_RATIO:g}: {', '.join(rates)}."
    known = None if found["judgement"] == Judgement.TOO_FEW else bool(found["flag"])
    return Finding(key=f"bias:{attribute}", flag=known, severity=severity, title=title, text=text)
