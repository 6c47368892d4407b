"""What a decision silences, as a property: never what is immediate, never what has become more urgent."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from actions.analysis import Urgency
from audit.card_records import CardFinding, CardRow
from interop.cds_hooks.muting import Decision, Finding, decisions, sort
from tests.fakes import NOW

RULES = st.sampled_from(["mi", "qtc", "hyp"])
URGENCIES = st.sampled_from([Urgency.IMMEDIATE, Urgency.URGENT, Urgency.ROUTINE])
AGO = st.integers(0, 100).map(lambda hours: timedelta(hours=hours))
FINDINGS = st.lists(st.builds(Finding, RULES, URGENCIES), unique_by=lambda one: one.rule)
DECIDED = st.dictionaries(
    RULES,
    st.builds(
        lambda outcome, urgency, ago: Decision(outcome=outcome, urgency=urgency, at=NOW - ago),
        st.sampled_from(["accepted", "overridden", "left"]),
        URGENCIES,
        AGO,
    ),
)


@given(FINDINGS, DECIDED, AGO)
def test_each_finding_is_shown_reminded_of_or_silenced_for_a_reason(
    findings: list[Finding], decided: dict[str, Decision], silent_for: timedelta
) -> None:
    found = sort(findings, decided, now=NOW, silent_for=silent_for)
    reminded = [finding for finding, _ in found.decided]
    assert not set(found.open) & set(reminded)
    for finding in findings:
        decision = decided.get(finding.rule)
        silenced = finding not in found.open and finding not in reminded
        if decision is None or finding.urgency.rank < decision.urgency.rank:
            assert finding in found.open
        if finding.urgency is Urgency.IMMEDIATE:
            assert not silenced
        if silenced:
            assert decision is not None
            assert NOW - decision.at < silent_for
            assert finding.urgency.rank >= decision.urgency.rank


def card(at_hours: int, *findings: CardFinding) -> CardRow:
    return CardRow(
        id=str(at_hours),
        at=NOW - timedelta(hours=at_hours),
        service="s",
        user_key="u",
        analysis_id="a",
        indicator="info",
        findings=findings,
    )


def test_the_newest_decision_of_all_cards_counts() -> None:
    def decided(outcome: str, hours: int, urgency: str = "urgent") -> CardFinding:
        at = NOW - timedelta(hours=hours)
        return CardFinding(rule="qtc", urgency=urgency, outcome=outcome, decided_at=at, reason="known-finding")

    cards = [
        card(9, decided("accepted", 1)),
        card(5, decided("overridden", 4)),
        card(1, CardFinding(rule="qtc", urgency="urgent")),
    ]
    assert decisions(cards) == {
        "qtc": Decision(outcome="accepted", urgency=Urgency.URGENT, at=NOW - timedelta(hours=1), reason="known-finding")
    }
    assert decisions([]) == {}
