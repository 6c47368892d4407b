"""Cards on an ECG as pure values: what is shown for which findings, and that every rule makes a valid card."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.analysis import Recommendation, Urgency
from actions.policy import load_policy
from actions.recency import judge_recency
from inference.prediction import ModelStatus
from interop.cds_hooks.cards import Occasion, Unreadable, ecg_card, findings, source_label, unreadable_card
from interop.cds_hooks.known import KnownEcg
from interop.cds_hooks.muting import Decision, Finding, Sorted
from interop.cds_hooks.wire import INDICATORS, Card
from interop.resources.requests import service_request
from tests.fakes import CANDIDATE, CHAMPION, NOW
from tests.interop.cds_hooks.analyses import analysis
from tests.interop.cds_hooks.hooks import check

POLICY = load_policy()
WINDOW = timedelta(hours=24)
UUID = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
OCCASION = Occasion(
    now=NOW,
    base="https://ecg.example",
    user="Practitioner/1",
    patient_id="p-1",
    encounter_id="e-1",
    new_id=lambda: UUID,
    page=lambda name: f"https://ecg.example/ecg/{name}",
)
RECENCY = judge_recency(NOW - timedelta(minutes=12), NOW, WINDOW)


def known(*recommendations: Recommendation) -> KnownEcg:
    """An analysis with these recommendations and the proposals of them."""
    made = replace(analysis(), recommendations=recommendations)
    requests = {
        one.action: {"resourceType": "ServiceRequest", "id": UUID} | service_request(one)
        for one in recommendations
        if one.urgency is not Urgency.NONE
    }
    return KnownEcg(analysis=made, report={"status": "preliminary"}, requests=requests)


RECOMMENDATIONS = [
    Recommendation(
        action=rule.action,
        urgency=rule.urgency,
        confidence=0.83,
        diagnosis=rule.when.diagnosis,
        rule=rule.id,
        rationale=rule.rationale,
        source=rule.source,
        code=rule.code,
    )
    for rule in POLICY.rules
]


def shown(ecg: KnownEcg, previous: KnownEcg | None = None) -> Card | None:
    return ecg_card(ecg, previous, RECENCY, Sorted(findings(ecg), ()), OCCASION)


@pytest.mark.parametrize("one", RECOMMENDATIONS, ids=lambda one: one.rule)
def test_every_rule_makes_a_card_of_its_urgency_or_none(one: Recommendation) -> None:
    card = shown(known(one))
    if one.urgency is Urgency.NONE:
        assert card is None
        return
    assert card is not None
    check({"cards": [card.as_json()]})
    assert card.indicator == INDICATORS[one.urgency]
    summary = card.as_json()["summary"]
    assert summary.startswith(one.action)
    assert summary.endswith("ECG 12 minutes ago, unconfirmed")
    assert one.action in {suggestion.label for suggestion in card.suggestions}
    (action,) = card.suggestions[0].actions
    assert action["resource"]["encounter"] == {"reference": "Encounter/e-1"}


@given(st.lists(st.sampled_from(RECOMMENDATIONS), unique_by=lambda one: one.action, max_size=8))
def test_one_card_tells_everything_the_most_urgent_first(chosen: list[Recommendation]) -> None:
    ranked = sorted(chosen, key=lambda one: one.urgency.rank)
    card = shown(known(*ranked))
    asked = [one for one in ranked if one.urgency is not Urgency.NONE]
    assert (card is None) is (not asked)
    if card is not None:
        check({"cards": [card.as_json()]})
        assert card.indicator == INDICATORS[asked[0].urgency]
        assert [rule for rule, _, _ in card.findings] == [one.rule for one in asked]
        assert [one.label for one in card.suggestions] == [one.action for one in asked]


def test_a_proposal_that_is_no_more_is_told_without_a_suggestion() -> None:
    card = shown(replace(known(*RECOMMENDATIONS[:2]), requests={}))
    assert card is not None
    check({"cards": [card.as_json()]})
    assert "suggestions" not in card.as_json()


def test_without_an_earlier_ecg_that_is_said() -> None:
    first = next(one for one in RECOMMENDATIONS if one.rule == "mi-immediate")
    card, compared = shown(known(first)), shown(known(first), known(first))
    assert card is not None
    assert compared is not None
    assert "No earlier ECG" in card.detail
    assert "Found in both" in compared.detail
    undated = replace(analysis(), recorded_at=None)
    compared = shown(known(first), replace(known(first), analysis=undated))
    assert compared is not None
    assert "(undated)" in compared.detail


def test_an_immediate_finding_that_was_decided_comes_back_as_information_without_anything_to_click() -> None:
    first = next(one for one in RECOMMENDATIONS if one.rule == "mi-immediate")
    decision = Decision(outcome="overridden", urgency=Urgency.IMMEDIATE, at=NOW, reason="known-finding")
    found = Sorted((), ((Finding(first.rule, first.urgency), decision),))
    card = ecg_card(known(first), None, RECENCY, found, OCCASION)
    assert card is not None
    content = card.as_json()
    check({"cards": [content]})
    assert content["indicator"] == "info"
    assert not {"suggestions", "overrideReasons"} & set(content)
    assert "You have overridden on 2026-03-02 09:30 UTC" in content["summary"]
    assert "reason: known-finding" in content["detail"]


@given(st.text(min_size=1, max_size=500))
def test_whatever_makes_an_ecg_unreadable_the_card_is_valid(reason: str) -> None:
    card = unreadable_card(Unreadable(key="urn:x", reason=reason), RECENCY, OCCASION, source_label(None))
    check({"cards": [card.as_json()]})


def test_who_speaks_is_named_with_what_it_may_claim() -> None:
    assert source_label(CHAMPION).endswith("fake-resnet 1.2.3")
    assert CANDIDATE.status is ModelStatus.CANDIDATE
    assert "candidate, not released" in source_label(CANDIDATE)
