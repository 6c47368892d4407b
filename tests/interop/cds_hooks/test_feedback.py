"""What users do about cards: stored, counted, and what it silences for whom."""

from collections.abc import Iterator
from typing import Any

import pytest

from audit.records import AuditEvent
from interop.cds_hooks.feedback import counted_reason
from tests.fakes import NOW, make_prediction
from tests.interop.cds_hooks.hooks import HOUR, call, cards, ecg, feedback
from tests.interop.service import Service, running


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def test_feedback_mutes_for_its_user_and_an_immediate_finding_comes_back_as_information(service: Service) -> None:
    body = call("patient-view", ecg())
    (card,) = cards(service, body)
    reason = {"reason": {"code": "known-finding", "system": "urn:x", "display": "Known"}, "userComment": "old MI"}
    assert feedback(service, card, overrideReason=reason).json() == {}
    (again,) = cards(service, body)
    assert again["indicator"] == "info"
    assert "overridden" in again["summary"]
    assert "Practitioner/example" in again["detail"]
    assert "suggestions" not in again
    (other,) = cards(service, call("patient-view", ecg(), context={"userId": "Practitioner/other"}))
    assert other["indicator"] == "critical"
    (newer,) = cards(service, call("patient-view", ecg(NOW - HOUR / 60, id="o-2")))
    assert newer["indicator"] == "info"  # it is older than the first: the first one counts
    assert service.store.events.count(AuditEvent.CARD_FEEDBACK) == 1
    line = 'ecg_cds_decisions_total{outcome="overridden",reason="known-finding",rule="mi-immediate"}'
    assert service.metric(line) == 1
    service.intake.clock.now = NOW + HOUR  # type: ignore[attr-defined]
    (newer,) = cards(service, call("patient-view", ecg(NOW + HOUR / 2, id="o-3")))
    assert newer["indicator"] == "critical"


def test_a_routine_finding_that_was_decided_stays_away_for_the_set_time() -> None:
    with running(make_prediction(HYP=0.6), cds_mute=4 * HOUR) as service:
        body = call("patient-view", ecg())
        (card,) = cards(service, body)
        assert card["indicator"] == "info"
        assert feedback(service, card, "accepted").status_code == 200
        assert cards(service, body) == []
        service.intake.clock.now = NOW + 5 * HOUR  # type: ignore[attr-defined]
        assert len(cards(service, body)) == 1


def test_feedback_may_come_several_times_is_counted_once_and_never_an_over_read(service: Service) -> None:
    (card,) = cards(service, call("patient-view", ecg()))
    for _ in range(3):
        assert feedback(service, card, "accepted").status_code == 200
    report = service.client.get("/monitoring/cards").json()
    immediate = next(one for one in report["rules"] if one["rule"] == "mi-immediate")
    assert (immediate["shown"], immediate["answered"], immediate["acceptance_rate"]) == (1, 1, 1.0)
    assert report["cards"] == {"total": 1, "per_100_ecgs": 100.0, "critical": 1}
    assert report["ecgs"] == 1
    assert service.client.get("/fhir/DiagnosticReport").json()["entry"][0]["resource"]["status"] == "preliminary"
    assert service.store.rows("SELECT 1 FROM overreads") == []
    assert service.store.rows("SELECT count(*) FROM card_feedback") == [(1,)]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"card": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"outcome": "ignored"}, 422),
        ({"outcome": "accepted", "acceptedSuggestions": []}, 422),
        ({"outcomeTimestamp": "2026-01-01"}, 422),
        ({"overrideReason": {"userComment": 7}}, 422),
    ],
)
def test_feedback_that_cannot_be_used_is_refused_whole(service: Service, changed: dict[str, Any], status: int) -> None:
    (card,) = cards(service, call("patient-view", ecg()))
    good = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": NOW.isoformat()}
    body = {"feedback": [good, good | changed]}
    response = service.client.post("/cds-services/ecg-patient-view/feedback", json=body)
    assert response.status_code == status, response.text
    assert service.store.rows("SELECT 1 FROM card_feedback") == []


def test_feedback_belongs_to_the_service_that_showed_the_card(service: Service) -> None:
    (card,) = cards(service, call("patient-view", ecg()))
    assert feedback(service, card, path="/cds-services/ecg-order-sign/feedback").status_code == 404


def test_a_decision_of_the_future_counts_from_now_on() -> None:
    with running(make_prediction(HYP=0.6), cds_mute=2 * HOUR) as service:
        body = call("patient-view", ecg())
        (card,) = cards(service, body)
        assert feedback(service, card, at=NOW + 1000 * HOUR).status_code == 200
        service.intake.clock.now = NOW + 3 * HOUR  # type: ignore[attr-defined]
        assert len(cards(service, body)) == 1


def test_reasons_are_counted_by_a_closed_list() -> None:
    assert [counted_reason(code) for code in (None, "later", "SNOMED-1")] == ["none", "later", "other"]
