"""Hook calls as EHRs make them, and what holds for every answer."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from tests.fakes import NOW
from tests.interop.service import Service, observation, real_ecg

EHR = "https://ehr.example/fhir"
PATIENT = {
    "resourceType": "Patient",
    "id": "p-1",
    "identifier": [{"system": "urn:oid:2.16.1", "value": "4711"}],
    "name": [{"family": "Muster"}],
    "gender": "male",
    "birthDate": "1952-01-01",
}
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
Json = dict[str, Any]


def ecg(at: datetime = NOW, *, id: str = "o-1", patient: str = "Patient/p-1", **changed: Any) -> Json:
    """An Observation of the EHR, without an identifier."""
    content: Json = orjson.loads(observation(real_ecg(), identifier=None, patient=patient))
    content |= {"id": id, "effectiveDateTime": at.isoformat()} | changed
    return {name: value for name, value in content.items() if value is not None}


def bundle(*resources: Json) -> Json:
    """A searchset."""
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


def call(hook: str = "patient-view", *ecgs: Json, prefetch: Mapping[str, Any] | None = None, **changed: Any) -> Json:
    """A hook call with a patient and ECGs in its prefetch."""
    context: Json = {"userId": "Practitioner/example", "patientId": "p-1"}
    if hook == "encounter-start":
        context["encounterId"] = "e-1"
    body: Json = {
        "hook": hook,
        "hookInstance": INSTANCE,
        "fhirServer": EHR,
        "context": context | changed.pop("context", {}),
        "prefetch": {"patient": PATIENT, "ecgs": bundle(*ecgs), "reports": None} if prefetch is None else prefetch,
    }
    return body | changed


def answered(service: Service, body: Json, path: str | None = None, status: int = 200) -> Any:
    """The JSON of the answer, whose cards are checked against the specification."""
    response = service.client.post(path or f"/cds-services/ecg-{body['hook']}", json=body)
    assert response.status_code == status, response.text
    content = response.json()
    if status == 200 and path is None:
        check(content)
    return content


def cards(service: Service, body: Json) -> list[Json]:
    """The cards of a call."""
    found: list[Json] = answered(service, body)["cards"]
    return found


def feedback(service: Service, card: Json, outcome: str = "overridden", at: datetime = NOW, **given: Any) -> Any:
    """What a user did about a card."""
    one: Json = {"card": card["uuid"], "outcome": outcome, "outcomeTimestamp": at.isoformat()} | given
    if outcome == "accepted":
        one.setdefault("acceptedSuggestions", [{"id": card["suggestions"][0]["uuid"]}])
    path = given.pop("path", "/cds-services/ecg-patient-view/feedback")
    return service.client.post(path, json={"feedback": [one]})


def check(answer: Json) -> None:
    """The invariants of CDS Hooks 2.0, section CDS Service Response."""
    assert set(answer) == {"cards"}  # never systemActions
    _no_null_and_nothing_empty(answer["cards"])
    for card in answer["cards"]:
        UUID(card["uuid"])
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning", "critical")
        assert card["source"]["label"]
        assert set(card["source"].get("topic", {"code": ""})) >= {"code"}
        if "suggestions" in card:
            assert card["selectionBehavior"] in ("at-most-one", "any")
        else:
            assert "selectionBehavior" not in card
        for suggestion in card.get("suggestions", ()):
            _check_suggestion(suggestion)
        assert sum(one.get("isRecommended", False) for one in card.get("suggestions", ())) <= 1
        for link in card.get("links", ()):
            assert set(link) == {"label", "url", "type"}
            assert link["type"] == "absolute"
            assert link["url"].startswith("http")
        for reason in card.get("overrideReasons", ()):
            assert reason["display"]
            assert reason["code"]
            assert reason["system"]


def _check_suggestion(suggestion: Json) -> None:
    assert suggestion["label"]
    assert suggestion["uuid"]
    for action in suggestion["actions"]:
        assert action["description"]
        assert action["type"] in ("create", "update", "delete")
        assert ("resourceId" in action) is (action["type"] == "delete")
        assert ("resource" in action) is (action["type"] != "delete")
        if action["type"] == "create":
            assert "id" not in action["resource"]
            assert action["resource"]["intent"] == "proposal"
            assert action["resource"]["status"] == "draft"


def _no_null_and_nothing_empty(part: Any) -> None:
    assert part is not None
    assert part != ""
    if isinstance(part, Mapping):
        for value in part.values():
            assert value not in ([], {})
            _no_null_and_nothing_empty(value)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for value in part:
            _no_null_and_nothing_empty(value)


HOUR = timedelta(hours=1)
