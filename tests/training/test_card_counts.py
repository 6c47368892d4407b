from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from actions.analysis import Recommendation, Urgency
from inference.labels import Superclass
from training.card_counts import CardCounts, Case, RuleCount, UrgencyCount, share, tally
from training.datasets.entry import complete

RULES: dict[str, tuple[Urgency, Superclass | None]] = {
    "mi-immediate": (Urgency.IMMEDIATE, Superclass.MI),
    "mi-urgent": (Urgency.URGENT, Superclass.MI),
    "bradycardia": (Urgency.URGENT, None),
    "sttc": (Urgency.ROUTINE, Superclass.STTC),
    "normal": (Urgency.NONE, None),
}


@dataclass(frozen=True)
class Seen:
    """An analysis, as far as it is counted."""

    recommendations: tuple[Recommendation, ...] = ()
    interpretable: bool = True
    outside_intended_use: tuple[str, ...] = ()


def _seen(*rules: str) -> Seen:
    return Seen(tuple(_recommendation(rule) for rule in rules))


def _recommendation(rule: str) -> Recommendation:
    urgency, diagnosis = RULES[rule]
    return Recommendation(
        action=rule, urgency=urgency, confidence=1.0, diagnosis=diagnosis, rule=rule, rationale="", source=""
    )


def _truth(*present: Superclass) -> dict[Superclass, bool]:
    return complete(frozenset(present))


MI, STTC, NORM = Superclass.MI, Superclass.STTC, Superclass.NORM
REFUSED = Seen(interpretable=False)
CHILD = Seen(outside_intended_use=("the patient is 17 years old, under 18",))

CASES: list[Case] = [
    (_seen("mi-immediate", "sttc"), _truth(MI)),
    (_seen("mi-immediate"), _truth(NORM)),
    (_seen("mi-urgent", "sttc"), _truth(MI, STTC)),
    (_seen("bradycardia", "mi-urgent"), _truth(NORM)),
    (_seen("sttc"), _truth(NORM)),
    (_seen("normal"), _truth(MI)),
    (CHILD, _truth(MI)),
    (REFUSED, _truth(MI)),
    (None, _truth(NORM)),
    (_seen("normal"), _truth(NORM)),
]


def _of(counts: CardCounts, urgency: Urgency) -> UrgencyCount:
    (found,) = (one for one in counts.by_urgency if one.urgency is urgency)
    return found


@pytest.mark.parametrize(
    ("urgency", "cards", "judged", "right", "not_judged"),
    [
        (Urgency.IMMEDIATE, 2, 2, 1, 0),
        (Urgency.URGENT, 2, 1, 1, 1),
        (Urgency.ROUTINE, 1, 1, 0, 0),
        (Urgency.NONE, 3, 0, 0, 3),
    ],
)
def test_recordings_are_counted_by_their_highest_urgency_and_judged_by_what_heads_the_card(
    urgency: Urgency, cards: int, judged: int, right: int, not_judged: int
) -> None:
    found = _of(tally(CASES), urgency)
    assert (found.cards.count, found.cards.of) == (cards, len(CASES))
    assert (found.right.of, found.right.count, found.not_judged) == (judged, right, not_judged)


def test_what_the_service_refuses_is_unreadable_and_what_it_may_not_advise_on_brings_no_card() -> None:
    counts = tally(CASES)
    assert (counts.recordings, counts.unreadable, counts.outside_intended_use) == (10, 2, 1)


def test_an_infarct_without_a_card_in_haste_is_missed_whatever_the_reason() -> None:
    infarcts = tally(CASES).infarcts
    assert (infarcts.count, infarcts.of) == (2, 5)
    assert tally([(_seen("bradycardia"), _truth(MI))]).infarcts.count == 1, "the reader looks at the ECG all the same"


def test_a_rule_counts_wherever_it_stands_on_the_card_unless_it_asks_for_nothing() -> None:
    assert tally(CASES).by_rule == (
        RuleCount(rule="sttc", shown=3, judged=3, right=1),
        RuleCount(rule="mi-immediate", shown=2, judged=2, right=1),
        RuleCount(rule="mi-urgent", shown=2, judged=2, right=1),
        RuleCount(rule="bradycardia", shown=1, judged=0, right=0),
    )


def test_a_label_that_is_unknown_judges_nothing() -> None:
    counts = tally([(_seen("mi-immediate"), {NORM: False})])
    immediate = _of(counts, Urgency.IMMEDIATE)
    assert (immediate.right.of, immediate.right.share, immediate.not_judged) == (0, None, 1)
    assert counts.infarcts.of == 0
    assert counts.by_rule == (RuleCount(rule="mi-immediate", shown=1, judged=0, right=0),)


def test_nothing_to_count_gives_no_shares() -> None:
    counts = tally([])
    assert [one.cards.share for one in counts.by_urgency] == [None] * len(Urgency)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129)]
)
def test_intervals_are_those_of_clopper_and_pearson(count: int, of: int, low: float, high: float) -> None:
    found = share(count, of).share
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("count", "of"), [(1, 0), (-1, 3), (4, 3)])
def test_a_count_that_is_not_among_the_recordings_is_refused(count: int, of: int) -> None:
    with pytest.raises(ValueError, match="among"):
        share(count, of)


@given(st.integers(1, 300).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_at_each_bound_the_count_is_just_not_surprising(drawn: tuple[int, int]) -> None:
    """Their definition: a share outside of the bounds makes so extreme a count rarer than 2.5 %."""
    count, of = drawn
    found = share(count, of).share
    assert found is not None
    assert found.low <= found.value <= found.high
    if count > 0:
        assert binom.sf(count - 1, of, found.low) == pytest.approx(0.025, abs=1e-6)
    if count < of:
        assert binom.cdf(count, of, found.high) == pytest.approx(0.025, abs=1e-6)


def _ranked(rules: set[str]) -> Seen:
    return _seen(*sorted(rules, key=lambda rule: RULES[rule][0].rank))


OUTCOMES = st.one_of(st.none(), st.just(REFUSED), st.just(CHILD), st.sets(st.sampled_from(sorted(RULES))).map(_ranked))
TRUTHS = st.dictionaries(st.sampled_from(list(Superclass)), st.booleans())
DRAWN = st.lists(st.tuples(OUTCOMES, TRUTHS), max_size=12)


@given(DRAWN)
def test_every_recording_is_counted_once_and_judged_or_not(cases: list[Case]) -> None:
    counts = tally(cases)
    assert counts.recordings == len(cases)
    assert counts.unreadable + sum(one.cards.count for one in counts.by_urgency) == len(cases)
    for one in counts.by_urgency:
        assert one.right.count <= one.right.of
        assert one.right.of + one.not_judged == one.cards.count
    assert counts.outside_intended_use <= _of(counts, Urgency.NONE).cards.count
    for rule in counts.by_rule:
        assert rule.right <= rule.judged <= rule.shown <= len(cases)
    assert {rule.rule for rule in counts.by_rule} <= RULES.keys() - {"normal"}


@given(DRAWN.flatmap(lambda cases: st.tuples(st.just(cases), st.permutations(cases))))
def test_the_order_of_recordings_changes_nothing(drawn: tuple[list[Case], list[Case]]) -> None:
    cases, shuffled = drawn
    assert tally(cases) == tally(shuffled)
