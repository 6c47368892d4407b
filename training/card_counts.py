"""How often a card would interrupt, and how often it would be right.

A model's scores say nothing of the burden on those who read its cards, and alerts that come often and are often wrong
get overridden unread (van der Sijs et al., J Am Med Inform Assoc 13:138, 2006). So every recording is counted by the
highest urgency of its recommendations, and the first of these, which heads the card, is held against the labels.

"Right" means that the label has the superclass which that recommendation rests on. It does not say that the action was
needed: an old infarct is right here, and needs no cath lab. What rests on a measurement or on the quality of the signal
alone cannot be judged by labels, and is counted apart.

Intervals are exact (Clopper and Pearson, Biometrika 26:404, 1934), which never cover less than they say, however few
recordings there are. They take recordings for independent; those of one patient are not quite.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scipy.stats import binomtest

from actions.analysis import Recommendation, Urgency
from inference.labels import Superclass
from training.bootstrap import CONFIDENCE, Interval
from training.urgency import HASTE

Truth = Mapping[Superclass, bool]  # what is known; an absent superclass is neither present nor excluded


class Outcome(Protocol):
    """What is counted of an `actions.analysis.Analysis`."""

    @property
    def interpretable(self) -> bool:
        """Whether the signal could be classified."""
        ...

    @property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """Ranked: the first heads the card."""
        ...

    @property
    def outside_intended_use(self) -> tuple[str, ...]:
        """Why nothing may be recommended; empty when it may."""
        ...


Case = tuple[Outcome | None, Truth]  # None: the recording could not even be read


@dataclass(frozen=True, slots=True)
class Share:
    """count among `of`. share: 0 to 1 with its exact 95 % interval; None of nothing."""

    count: int
    of: int
    share: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrgencyCount:
    """The recordings whose highest urgency this is. cards: of all recordings. right: of those whose first
    recommendation rests on a diagnosis. not_judged: the rest, which rest on no diagnosis, or on one that the labels
    leave open."""

    urgency: Urgency
    cards: Share
    right: Share
    not_judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """One rule. shown: recordings whose card has it, at any place. judged: of these, by a label. right: of these."""

    rule: str
    shown: int
    judged: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCounts:
    """by_urgency: all four, most urgent first; `none` brings no card. unreadable: what the service refuses, in none of
    the four. outside_intended_use: among `none`. infarcts: recordings with MI among their labels, unreadable ones too,
    that got an immediate or urgent card, by whatever rule. by_rule: rules that were shown, most often first."""

    recordings: int
    unreadable: int
    outside_intended_use: int
    by_urgency: tuple[UrgencyCount, ...]
    infarcts: Share
    by_rule: tuple[RuleCount, ...]


def tally(cases: Iterable[Case]) -> CardCounts:
    """Count the cards of recordings whose truth is known."""
    known = list(cases)
    readable = [(outcome, truth) for outcome, truth in known if outcome is not None and outcome.interpretable]
    infarcts = [outcome for outcome, truth in known if truth.get(Superclass.MI)]
    return CardCounts(
        recordings=len(known),
        unreadable=len(known) - len(readable),
        outside_intended_use=sum(bool(outcome.outside_intended_use) for outcome, _ in readable),
        by_urgency=tuple(_of_urgency(urgency, readable, len(known)) for urgency in Urgency),
        infarcts=share(sum(highest(outcome) in HASTE for outcome in infarcts), len(infarcts)),
        by_rule=_by_rule(readable),
    )


def highest(outcome: Outcome | None) -> Urgency:
    """The highest urgency of the recommendations; `none` where there are none."""
    return outcome.recommendations[0].urgency if outcome is not None and outcome.recommendations else Urgency.NONE


def share(count: int, of: int) -> Share:
    """Raises ValueError for a count that is not among `of`."""
    if not 0 <= count <= of:
        raise ValueError(f"{count} cannot be among {of}")
    if of == 0:
        return Share(0, 0, None)
    bounds = binomtest(count, of).proportion_ci(CONFIDENCE / 100, method="exact")
    return Share(count, of, Interval(count / of, float(bounds.low), float(bounds.high)))


def _of_urgency(urgency: Urgency, readable: Sequence[tuple[Outcome, Truth]], recordings: int) -> UrgencyCount:
    of_it = [(outcome, truth) for outcome, truth in readable if highest(outcome) is urgency]
    judgements = [_is_right(outcome.recommendations[0], truth) for outcome, truth in of_it if outcome.recommendations]
    judged = len(judgements) - judgements.count(None)
    return UrgencyCount(
        urgency=urgency,
        cards=share(len(of_it), recordings),
        right=share(judgements.count(True), judged),
        not_judged=len(of_it) - judged,
    )


def _by_rule(readable: Sequence[tuple[Outcome, Truth]]) -> tuple[RuleCount, ...]:
    """What asks for nothing (`none`) is not on a card."""
    found = Counter(
        (one.rule, _is_right(one, truth))
        for outcome, truth in readable
        for one in outcome.recommendations
        if one.urgency is not Urgency.NONE
    )
    counts = (_of_rule(rule, found) for rule in {rule for rule, _ in found})
    return tuple(sorted(counts, key=lambda count: (-count.shown, count.rule)))


def _of_rule(rule: str, found: Counter[tuple[str, bool | None]]) -> RuleCount:
    right, wrong, unknown = (found[rule, answer] for answer in (True, False, None))
    return RuleCount(rule=rule, shown=right + wrong + unknown, judged=right + wrong, right=right)


def _is_right(recommendation: Recommendation, truth: Truth) -> bool | None:
    """None where no label can tell."""
    return None if recommendation.diagnosis is None else truth.get(recommendation.diagnosis)
