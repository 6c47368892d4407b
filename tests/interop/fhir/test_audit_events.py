from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from interop.fhir.audit_events import NAMES
from interop.resources.audit_event import KINDS
from interop.resources.conformance import resource
from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running
from tests.interop.valid import valid

PATIENT = b'{"resourceType":"Patient","id":"1","gender":"female"}'


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running() as started:
        headers = {"Content-Type": FHIR_JSON}
        started.client.request("PUT", "/fhir/Patient/1", content=PATIENT, headers=headers)
        started.client.post("/fhir/Observation", content=observation(real_ecg()), headers=headers)
        yield started


def found(service: Service, query: str = "") -> list[Any]:
    response = service.client.get(f"/fhir/AuditEvent?{query}")
    assert response.status_code == 200, response.text
    valid("Bundle", response.content)
    return [one["resource"] for one in response.json().get("entry", []) if one["search"]["mode"] == "match"]


def own_code(event: Any) -> str:
    return str(event["subtype"][-1]["code"])


def test_every_entry_is_an_audit_event_that_is_read_by_its_id(service: Service) -> None:
    events = found(service)
    assert {own_code(event) for event in events} == {"chain.started", "resource.created", "ecg.analysed"}
    for event in events:
        response = service.client.get(f"/fhir/AuditEvent/{event['id']}")
        assert response.json() == event
        valid("AuditEvent", response.content)


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("subtype=ecg.analysed", {"ecg.analysed"}),
        ("subtype=urn:ecg-interop:codesystem:audit-event|resource.created", {"resource.created"}),
        ("subtype=create", {"resource.created"}),
        ("action=E", {"ecg.analysed"}),
        ("action=C&outcome=0", {"resource.created", "chain.started"}),
        ("outcome=8", set()),
        ("type=rest", {"resource.created"}),
        ("entity=Patient/1", {"resource.created"}),
        ("date=2026-03-02", {"resource.created", "ecg.analysed", "chain.started"}),
        ("date=gt2026-03-02", set()),
        ("date=ge2026-03-01&date=lt2026-03-04&action=E", {"ecg.analysed"}),
        ("date=lt2026-01-01&date=gt2026-02-01", set()),
        ("_count=1", {"ecg.analysed"}),
    ],
)
def test_they_are_found_by_what_they_are_and_when_and_about_what(
    service: Service, query: str, events: set[str]
) -> None:
    assert {own_code(event) for event in found(service, query)} == events


def test_pages_follow_one_another(service: Service) -> None:
    path, seen = f"{BASE}/fhir/AuditEvent?_count=1", list[str]()
    while path:
        response = service.client.get(path.removeprefix(BASE)).json()
        seen += [one["resource"]["id"] for one in response["entry"]]
        path = {link["relation"]: link["url"] for link in response["link"]}.get("next", "")
    assert len(seen) == len(set(seen)) == 3


@pytest.mark.parametrize(
    "query", ["date=x", "entity:not=Patient/1", "action:not=E", "_count=x", "_cursor=x", "date:missing=true"]
)
def test_what_cannot_be_used_is_400(service: Service, query: str) -> None:
    assert service.client.get(f"/fhir/AuditEvent?{query}").status_code == 400


def test_an_unknown_parameter_is_a_warning_or_by_preference_an_error(service: Service) -> None:
    entries = service.client.get("/fhir/AuditEvent?agent=x").json()["entry"]
    assert entries[-1]["search"]["mode"] == "outcome"
    assert service.client.get("/fhir/AuditEvent?agent=x", headers={"Prefer": "handling=strict"}).status_code == 400


@pytest.mark.parametrize("name", ["x", "chain-a.99", "chain-a.0", "chain-a.-1", "other.1"])
def test_what_is_not_there_is_404(service: Service, name: str) -> None:
    assert service.client.get(f"/fhir/AuditEvent/{name}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_them(service: Service, method: str) -> None:
    path = "/fhir/AuditEvent" if method == "POST" else "/fhir/AuditEvent/chain-a.1"
    assert service.client.request(method, path, content=b"{}").status_code == 405


def test_the_code_system_lists_every_event() -> None:
    listed = {one["code"]: one["display"] for one in resource("CodeSystem", "audit-event")["concept"]}
    assert listed == {event.value: kind.text for event, kind in KINDS.items()}
    assert resource("CodeSystem", "audit-event")["count"] == len(KINDS)


def test_the_statement_says_what_they_are_found_by(service: Service) -> None:
    (rest,) = orjson.loads(service.client.get("/fhir/metadata").content)["rest"]
    (mine,) = [one for one in rest["resource"] if one["type"] == "AuditEvent"]
    assert [one["name"] for one in mine["searchParam"]] == list(NAMES)
