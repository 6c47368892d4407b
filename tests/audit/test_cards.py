"""Cards and the feedback on them, on both databases."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from audit.card_records import CardCount, CardFinding, CardRow, FeedbackRow
from audit.store import Store
from inference.errors import NotFound
from tests.fakes import NOW

MI, QTC = (
    CardFinding(rule="mi", urgency="immediate", suggestion_ids=("s-1",)),
    CardFinding(rule="qtc", urgency="urgent"),
)


def card(id: str, *findings: CardFinding, at: datetime = NOW, **given: str) -> CardRow:
    fields = {"service": "ecg-patient-view", "user_key": "https://ehr|Practitioner/1", "analysis_id": "a-1"}
    return CardRow(id=id, at=at, indicator="critical", findings=findings, **fields | given)


def feedback(id: str, outcomes: dict[str, str], at: datetime = NOW, reason: str | None = None) -> FeedbackRow:
    outcome = "overridden" if reason else "accepted"
    return FeedbackRow(
        card_id=id, outcome=outcome, outcome_at=at, received_at=NOW, outcomes=outcomes, reason=reason, detail=b"{}"
    )


def test_a_user_s_cards_read_back_with_their_findings(store: Store) -> None:
    first, second = card("c-1", MI, QTC), card("c-2", QTC, at=NOW + timedelta(minutes=1))
    with store.unit_of_work() as uow:
        for row in (second, first, card("c-3", MI, user_key="other"), card("c-4", MI, analysis_id="a-2")):
            uow.cards.add(row)
    with store.reader() as reader:
        assert reader.cards.get("c-1") == first
        assert reader.cards.of(first.user_key, "a-1") == [first, second]
        assert reader.cards.of(first.user_key, "a-9") == []
        with pytest.raises(NotFound):
            reader.cards.get("c-9")


def test_the_newest_decision_counts_and_the_same_feedback_only_once(store: Store) -> None:
    later, latest = NOW + timedelta(minutes=5), NOW + timedelta(minutes=9)
    with store.unit_of_work() as uow:
        uow.cards.add(card("c-1", MI, QTC))
        assert uow.cards.decide(feedback("c-1", {"mi": "overridden", "qtc": "overridden"}, later, "known"))
        assert not uow.cards.decide(feedback("c-1", {"mi": "overridden", "qtc": "overridden"}, later, "known"))
        assert uow.cards.decide(feedback("c-1", {"mi": "accepted", "qtc": "left"}))  # came late
        found = uow.cards.get("c-1").findings
        assert {(one.outcome, one.reason, one.decided_at) for one in found} == {("overridden", "known", later)}
        assert uow.cards.decide(feedback("c-1", {"mi": "accepted"}, latest))
        assert uow.cards.get("c-1").findings == (
            replace(MI, outcome="accepted", decided_at=latest),
            replace(QTC, outcome="overridden", decided_at=later, reason="known"),
        )
        with pytest.raises(NotFound):
            uow.cards.decide(feedback("c-9", {}))


def test_what_was_shown_is_counted_by_rule_outcome_and_reason(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.cards.add(card("c-0", MI, at=NOW - timedelta(days=40)))
        for number in (1, 2, 3):
            uow.cards.add(card(f"c-{number}", MI, QTC))
        uow.cards.decide(feedback("c-1", {"mi": "overridden", "qtc": "overridden"}, reason="known"))
    since = NOW - timedelta(days=30)
    with store.reader() as reader:
        assert set(reader.cards.counts(since)) == {
            CardCount(rule="mi", urgency="immediate", outcome=None, reason=None, number=2),
            CardCount(rule="mi", urgency="immediate", outcome="overridden", reason="known", number=1),
            CardCount(rule="qtc", urgency="urgent", outcome=None, reason=None, number=2),
            CardCount(rule="qtc", urgency="urgent", outcome="overridden", reason="known", number=1),
        }
        assert reader.cards.shown(since) == {"critical": 3}
