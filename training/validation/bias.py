"""Who is in a data set, and how often each label is given to whom.

A rate that differs between groups is no fault by itself: infarcts are more frequent in the old. It is what a reader
must know before believing that a model treats groups alike. A device or a site with a rate of its own is the worse
news: a network can learn to recognise the device instead of the disease.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from inference.labels import Superclass
from training.datasets.entry import Entry
from training.groups import AGE_GROUPS, MIN_GROUP, SEXES

UNKNOWN = "unknown"
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class LabelRate:
    """Of one superclass in one group. known: recordings where it is known. positives: of these, those that have it.

    rate with its 95 % Wilson interval (low, high); None where there are too few to judge.
    """

    known: int
    positives: int
    rate: float | None
    low: float | None
    high: float | None

    def excludes(self, rate: float) -> bool:
        """Whether the interval leaves out this rate; never where there are too few."""
        return self.low is not None and self.high is not None and not self.low <= rate <= self.high


@dataclass(frozen=True, slots=True)
class GroupRates:
    """One group. attribute: sex, age, site or device. recordings: how many there are, whatever is known of them."""

    attribute: str
    group: str
    recordings: int
    patients: int
    rates: Mapping[Superclass, LabelRate]

    @property
    def name(self) -> str:
        """Both in one word."""
        return f"{self.attribute}/{self.group}"


def age_group(age: float | None) -> str:
    """The group of an age in years."""
    if age is None:
        return UNKNOWN
    return next((name for name, (low, high) in AGE_GROUPS.items() if low <= age < high), UNKNOWN)


ATTRIBUTES: Mapping[str, Callable[[Entry], str]] = {
    "all": lambda entry: "all",
    "sex": lambda entry: entry.sex if entry.sex in SEXES else UNKNOWN,
    "age": lambda entry: age_group(entry.age),
    "site": lambda entry: entry.site or UNKNOWN,
    "device": lambda entry: entry.device or UNKNOWN,
}


def group_rates(entries: Sequence[Entry], min_group: int = MIN_GROUP) -> tuple[GroupRates, ...]:
    """Counts and label rates of every group of every attribute, larger groups first; first of all, all together.

    min_group: groups with fewer recordings of known label are too few to judge.
    """
    return tuple(
        _of_group(attribute, group, members, min_group)
        for attribute, of in ATTRIBUTES.items()
        for group, members in _by_size(entries, of)
    )


def _by_size(entries: Sequence[Entry], of: Callable[[Entry], str]) -> list[tuple[str, list[Entry]]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[str(of(entry))].append(entry)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def _of_group(attribute: str, group: str, members: Sequence[Entry], min_group: int) -> GroupRates:
    return GroupRates(
        attribute,
        group,
        recordings=len(members),
        patients=len({m.patient_id for m in members}),
        rates={c: _rate([m.labels[c] for m in members if c in m.labels], min_group) for c in Superclass},
    )


def _rate(known: Sequence[bool], min_group: int) -> LabelRate:
    positives = sum(known)
    if len(known) < max(min_group, 1):
        return LabelRate(len(known), positives, None, None, None)
    interval = binomtest(positives, len(known)).proportion_ci(CONFIDENCE, method="wilson")
    return LabelRate(len(known), positives, positives / len(known), float(interval.low), float(interval.high))
