"""Batches and transactions through the door."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, flat_ecg, observation, real_ecg
from tests.interop.valid import valid

ECG = real_ecg()
PATIENT = {"resourceType": "Patient", "gender": "female", "birthDate": "1952-03-02"}
REPORT = {"resourceType": "DiagnosticReport"}
IDENTIFIED = PATIENT | {"identifier": [{"system": "urn:h", "value": "4711"}]}


def entry(method: str, url: str, resource: Any = None, name: str | None = None, **request: str) -> dict[str, Any]:
    found: dict[str, Any] = {"request": {"method": method, "url": url} | request}
    if resource is not None:
        found["resource"] = orjson.loads(resource) if isinstance(resource, bytes) else resource
    return found | ({"fullUrl": name} if name else {})


def post(
    service: Service, entries: Sequence[dict[str, Any]], type: str = "transaction", **headers: str
) -> httpx.Response:
    content = orjson.dumps({"resourceType": "Bundle", "type": type, "entry": list(entries)})
    return service.client.post("/fhir", content=content, headers={"Content-Type": FHIR_JSON} | headers)


def answered(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    valid("Bundle", response.content)
    return [one["response"] for one in response.json()["entry"]]


def read(service: Service, url: str) -> Any:
    return service.client.get(url.removeprefix(BASE)).json()


def test_a_patient_and_an_ecg_that_refers_to_it_are_stored_together(service: Service) -> None:
    name = f"urn:uuid:{uuid4()}"
    ecg = observation(ECG, patient=name)
    # Their order does not matter.
    answers = answered(post(service, [entry("POST", "Observation", ecg), entry("POST", "Patient", PATIENT, name)]))
    assert [one["status"] for one in answers] == ["201 Created", "201 Created"]
    patient, stored = read(service, answers[1]["location"]), read(service, answers[0]["location"])
    assert stored["subject"] == {"reference": f"Patient/{patient['id']}"}
    report = service.client.get(f"/fhir/DiagnosticReport?patient={patient['id']}").json()
    assert report["total"] == 1
    assert service.store.rows("SELECT age, sex FROM analyses") == [(74.0, "female")]
    assert "infarction" in answers[0]["outcome"]["issue"][1]["details"]["text"]


def test_an_identifier_that_looks_like_a_name_stays_what_it_is(service: Service) -> None:
    name = f"urn:uuid:{uuid4()}"
    own = PATIENT | {"identifier": [{"system": "urn:ietf:rfc3986", "value": name}]}
    (answer,) = answered(post(service, [entry("POST", "Patient", own, name)]))
    assert read(service, answer["location"])["identifier"][0]["value"] == name


def test_numbers_keep_their_text_in_a_transaction(service: Service) -> None:
    content = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Observation"},'
        b'"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        b'"subject":{"reference":"Patient/1"},"valueQuantity":{"value":1.50}}}]}'
    )
    response = service.client.post("/fhir", content=content, headers={"Content-Type": FHIR_JSON})
    (answer,) = answered(response)
    assert b'{"value":1.50}' in service.client.get(answer["location"].removeprefix(BASE)).content


@pytest.mark.parametrize(
    ("bad", "status", "expression"),
    [
        (entry("POST", "Patient", PATIENT | {"gender": "none"}), 422, "Bundle.entry[1].resource.gender"),
        (entry("POST", "Encounter", {"resourceType": "Encounter"}), 422, "Bundle.entry[1].request.url"),
        (
            entry("POST", "DiagnosticReport", {"resourceType": "DiagnosticReport"}),
            422,
            "Bundle.entry[1].request.method",
        ),
        (entry("PUT", "Patient/x", PATIENT | {"id": "y"}), 400, "Bundle.entry[1].resource.id"),
        (entry("PUT", "Patient/x", PATIENT | {"id": "x"}, ifMatch='W/"3"'), 412, "Bundle.entry[1]"),
        (entry("POST", "Patient"), 422, "Bundle.entry[1].resource"),
        (entry("PUT", "Patient", PATIENT), 422, "Bundle.entry[1].request.url"),
        (entry("POST", "Observation", observation(flat_ecg())), 422, "Bundle.entry[1].resource.component"),
        (entry("POST", "Observation", observation(ECG, patient="urn:uuid:0")), 422, "Bundle.entry[1]"),
        (entry("POST", "Observation", observation(ECG, patient="Patient?identifier=none")), 422, "Bundle.entry[1]"),
        (entry("POST", "Patient", PATIENT, ifNoneExist="nonsense=1"), 400, "Bundle.entry[1]"),
    ],
)
def test_a_transaction_with_one_bad_entry_stores_nothing_and_names_it(
    service: Service, bad: dict[str, Any], status: int, expression: str
) -> None:
    response = post(service, [entry("POST", "Patient", PATIENT), bad])
    assert response.status_code == status, response.text
    valid("OperationOutcome", response.content)
    assert response.json()["issue"][0]["expression"] == [expression]
    assert service.store.rows("SELECT 1 FROM documents") == []


def test_a_batch_with_one_bad_entry_carries_out_the_others(service: Service) -> None:
    bad = entry("POST", "Patient", PATIENT | {"gender": "none"})
    answers = answered(post(service, [bad, entry("POST", "Patient", PATIENT), entry("GET", "Patient/none")], "batch"))
    assert [one["status"] for one in answers] == ["422 Unprocessable Entity", "201 Created", "404 Not Found"]
    assert answers[0]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[0].resource.gender"]
    assert service.store.count("Patient") == 1


def test_reads_and_searches_of_a_transaction_see_what_it_did(service: Service) -> None:
    entries = [
        entry("GET", "Patient?identifier=urn:h|4711"),
        entry("POST", "Patient", IDENTIFIED),
        entry("GET", "Patient/mine/_history"),
        entry("PUT", "Patient/mine", PATIENT | {"id": "mine"}),
        entry("GET", "Patient/mine"),
        entry("GET", "Patient/none"),
    ]
    response = post(service, entries)
    answers = answered(response)
    statuses = ["200 OK", "201 Created", "200 OK", "201 Created", "200 OK", "404 Not Found"]
    assert [one["status"] for one in answers] == statuses
    bodies = [one.get("resource") for one in response.json()["entry"]]
    assert (bodies[0]["total"], bodies[2]["type"], bodies[4]["id"]) == (1, "history", "mine")


def test_a_conditional_reference_is_resolved_and_a_conditional_create_names_what_is_there(service: Service) -> None:
    (first,) = answered(post(service, [entry("POST", "Patient", IDENTIFIED)]))
    held = read(service, first["location"])["id"]
    name = f"urn:uuid:{uuid4()}"
    entries = [
        entry("POST", "Patient", IDENTIFIED, name, ifNoneExist="identifier=urn:h|4711"),
        entry("POST", "Observation", observation(ECG, identifier="A", patient=name)),
        entry("POST", "Observation", observation(ECG, identifier="B", patient="Patient?identifier=urn:h|4711")),
    ]
    answers = answered(post(service, entries))
    assert [one["status"] for one in answers] == ["200 OK", "201 Created", "201 Created"]
    subjects = {read(service, one["location"])["subject"]["reference"] for one in answers[1:]}
    assert subjects == {f"Patient/{held}"}
    answered(post(service, [entry("POST", "Patient", IDENTIFIED)]))
    assert post(service, entries).status_code == 412


def test_the_same_transaction_several_times_at_once_creates_once(service: Service) -> None:
    name = f"urn:uuid:{uuid4()}"
    entries = [
        entry("POST", "Patient", IDENTIFIED, name, ifNoneExist="identifier=urn:h|4711"),
        entry("POST", "Observation", observation(ECG, patient=name)),
    ]
    content = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    request = ("POST", "/fhir", {"content": content, "headers": {"Content-Type": FHIR_JSON}})
    answers = service.client.together([request] * 6)
    assert {answer.status_code for answer in answers} == {200}
    assert (service.store.count("Patient"), service.store.count("DiagnosticReport")) == (1, 1)
    assert len({answered(answer)[1]["location"] for answer in answers}) == 1


def test_deletes_come_first_and_a_patch_comes_as_a_binary(service: Service) -> None:
    answered(post(service, [entry("PUT", "Patient/a", PATIENT | {"id": "a"})]))
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6Im1hbGUifV0=",
    }
    answers = answered(post(service, [entry("PATCH", "Patient/a", binary), entry("DELETE", "Patient/b")]))
    assert [one["status"] for one in answers] == ["200 OK", "204 No Content"]
    assert service.client.get("/fhir/Patient/a").json()["gender"] == "male"


def test_one_resource_twice_in_a_transaction_is_refused(service: Service) -> None:
    twice = entry("PUT", "Patient/a", PATIENT | {"id": "a"})
    response = post(service, [twice, twice])
    assert response.status_code == 422
    assert response.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]


def test_many_ecgs_are_classified_together_and_stored_at_once(service: Service) -> None:
    entries = [
        entry("POST", "Observation", observation(ECG, identifier=f"E{n}", patient=f"Patient/{n}")) for n in range(20)
    ]
    answers = answered(post(service, entries))
    assert {one["status"] for one in answers} == {"201 Created"}
    assert service.store.count("DiagnosticReport") == 20


@pytest.mark.parametrize("type", ["searchset", "document", "message", "nonsense"])
def test_another_kind_of_bundle_is_refused(service: Service, type: str) -> None:
    response = post(service, [], type)
    assert response.status_code == 422
    assert response.json()["issue"][0]["expression"] == ["Bundle.type"]


def test_an_empty_transaction_is_answered_with_an_empty_one(service: Service) -> None:
    content = b'{"resourceType":"Bundle","type":"transaction"}'
    response = service.client.post("/fhir", content=content, headers={"Content-Type": FHIR_JSON})
    assert (response.status_code, response.json()) == (200, {"resourceType": "Bundle", "type": "transaction-response"})


def test_the_resources_come_back_when_they_are_asked_for(service: Service) -> None:
    response = post(service, [entry("POST", "Patient", PATIENT)], Prefer="return=representation")
    answered(response)
    assert response.json()["entry"][0]["resource"]["gender"] == "female"
