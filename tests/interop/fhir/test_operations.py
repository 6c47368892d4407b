"""Operations and our own definitions through the door."""

from typing import Any

import httpx
import orjson
import pytest

from audit.records import AuditEvent
from interop.fhir import definitions
from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, flat_ecg, observation, real_ecg
from tests.interop.valid import valid

ECG = real_ecg()
PATIENT = {"resourceType": "Patient", "gender": "female", "birthDate": "1952-03-02"}
IDENTIFIED = PATIENT | {"identifier": [{"system": "urn:h", "value": "47|11"}]}


def post(service: Service, path: str, content: Any) -> httpx.Response:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return service.client.post(f"/fhir/{path}", content=body, headers={"Content-Type": FHIR_JSON})


def resources(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    valid("Bundle", response.content)
    return [one["resource"] for one in response.json().get("entry", [])]


@pytest.mark.parametrize("in_parameters", [False, True])
def test_an_ecg_is_analysed_and_nothing_is_stored_but_the_audit_entry(service: Service, in_parameters: bool) -> None:
    ecg = orjson.loads(observation(ECG))
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "observation", "resource": ecg}]}
    found = resources(post(service, "Observation/$analyze", parameters if in_parameters else ecg))
    types = [one["resourceType"] for one in found]
    assert types[0] == "DiagnosticReport"
    assert {"ServiceRequest", "Observation", "Provenance", "Device"} <= set(types)
    assert "infarction" in found[0]["conclusion"]
    for one in found:
        valid(one["resourceType"], orjson.dumps(one))
    assert service.store.rows("SELECT 1 FROM documents") == []
    assert service.store.events == [AuditEvent.ECG_ANALYSED]
    (payload,) = service.store.rows("SELECT payload FROM audit_entries WHERE event = 'ecg.analysed'")
    assert orjson.loads(payload[0])["stored"] is False


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        ({"resourceType": "Parameters"}, 422),
        ({"resourceType": "Parameters", "parameter": "x"}, 422),
        (PATIENT, 422),
        (observation(flat_ecg()), 422),
        (observation(ECG, status="entered-in-error"), 422),
    ],
)
def test_what_cannot_be_analysed_is_refused(service: Service, content: Any, status: int) -> None:
    response = post(service, "Observation/$analyze", content)
    assert response.status_code == status
    valid("OperationOutcome", response.content)


def test_age_and_sex_of_an_analysis_come_from_a_stored_patient(service: Service) -> None:
    child = PATIENT | {"id": "1", "birthDate": "2019-03-02"}
    service.client.request("PUT", "/fhir/Patient/1", content=orjson.dumps(child), headers={"Content-Type": FHIR_JSON})
    found = resources(post(service, "Observation/$analyze", observation(ECG, patient="Patient/1")))
    assert "ServiceRequest" not in [one["resourceType"] for one in found]


@pytest.mark.parametrize(
    ("type", "resource", "severity", "expression"),
    [
        ("Patient", PATIENT, "information", None),
        ("Patient", PATIENT | {"gender": "x", "birthDate": "y"}, "error", "Patient.gender"),
        ("Patient", {"resourceType": "Device"}, "error", "resourceType"),
        ("Observation", observation(ECG), "information", None),
        ("Observation", observation(ECG, subject=None), "error", "Observation.subject"),
        ("ServiceRequest", {"resourceType": "ServiceRequest", "intent": "nonsense"}, "error", None),
    ],
)
def test_a_resource_is_validated_and_not_stored(
    service: Service, type: str, resource: Any, severity: str, expression: str | None
) -> None:
    response = post(service, f"{type}/$validate", resource)
    assert response.status_code == 200
    valid("OperationOutcome", response.content)
    found = response.json()["issue"]
    assert found[0]["severity"] == severity
    if expression:
        assert [expression] in [one.get("expression") for one in found]
    assert service.store.rows("SELECT 1 FROM documents") == []


def test_everything_of_a_patient_is_given_page_by_page_each_once_and_nothing_of_others(service: Service) -> None:
    for name in ("1", "2"):
        content = orjson.dumps(IDENTIFIED | {"id": name} if name == "1" else PATIENT | {"id": name})
        service.client.request("PUT", f"/fhir/Patient/{name}", content=content, headers={"Content-Type": FHIR_JSON})
        post(service, "Observation", observation(ECG, identifier=f"E{name}", patient=f"Patient/{name}"))
    logical = {"identifier": {"system": "urn:h", "value": "47|11"}}
    post(service, "Observation", observation(ECG, identifier="E3", subject=logical))
    path, seen = f"{BASE}/fhir/Patient/1/$everything?_count=2", list[Any]()
    while path:
        response = service.client.get(path.removeprefix(BASE))
        seen += resources(response)
        path = {link["relation"]: link["url"] for link in response.json()["link"]}.get("next", "")
    names = [(one["resourceType"], one["id"]) for one in seen if one["resourceType"] != "Provenance"]
    assert len(names) == len(set(names))
    subjects = [one["subject"] for one in seen if "subject" in one]
    assert {one.get("reference") for one in subjects} == {"Patient/1", None}
    assert [kind for kind, _ in names].count("DiagnosticReport") == 2
    assert [kind for kind, _ in names].count("Patient") == 1
    only = resources(service.client.get("/fhir/Patient/1/$everything?_type=DiagnosticReport"))
    assert {one["resourceType"] for one in only} == {"Patient", "DiagnosticReport", "Provenance"}


def test_everything_of_nobody_is_404_and_a_bad_link_400(service: Service) -> None:
    assert service.client.get("/fhir/Patient/none/$everything").status_code == 404
    service.client.request(
        "PUT", "/fhir/Patient/1", content=orjson.dumps(PATIENT | {"id": "1"}), headers={"Content-Type": FHIR_JSON}
    )
    for query in ("_cursor=x", "_cursor=Observation.x", "_since=x"):
        assert service.client.get(f"/fhir/Patient/1/$everything?{query}").status_code == 400


def message(*resources: Any, header: Any = None) -> dict[str, Any]:
    head = header or {
        "resourceType": "MessageHeader",
        "id": "m-1",
        "eventUri": "urn:x:ecg",
        "source": {"endpoint": "https://cart.example"},
    }
    entries = [
        {"fullUrl": f"urn:uuid:{n}0000000-0000-4000-8000-000000000000", "resource": r}
        for n, r in enumerate(resources, 1)
    ]
    return {
        "resourceType": "Bundle",
        "type": "message",
        "entry": [{"fullUrl": "urn:uuid:0", "resource": head}, *entries],
    }


def test_a_message_is_taken_whole_and_answered_with_the_reports(service: Service) -> None:
    ecg = orjson.loads(observation(ECG, patient="urn:uuid:10000000-0000-4000-8000-000000000000"))
    sent = message(IDENTIFIED, ecg, {"resourceType": "Organization", "name": "H"})
    response = post(service, "$process-message", sent)
    header, report, *requests = resources(response)
    assert header["response"] == {"identifier": "m-1", "code": "ok"}
    assert header["eventUri"] == "urn:x:ecg"
    assert header["focus"] == [{"reference": f"DiagnosticReport/{report['id']}"}]
    assert {one["resourceType"] for one in requests} == {"ServiceRequest"}
    assert service.store.rows("SELECT age, sex FROM analyses") == [(74.0, "female")]
    again = resources(post(service, "$process-message", sent))
    assert again[1]["id"] == report["id"]
    assert (service.store.count("Patient"), service.store.count("DiagnosticReport")) == (1, 1)


@pytest.mark.parametrize(
    "content",
    [
        message(),
        message(PATIENT),
        message(orjson.loads(observation(flat_ecg()))),
        message(orjson.loads(observation(ECG)), header=PATIENT),
        {"resourceType": "Bundle", "type": "message"},
        {"resourceType": "Bundle", "type": "batch"},
    ],
)
def test_a_message_that_cannot_be_used_is_refused_and_nothing_of_it_is_stored(service: Service, content: Any) -> None:
    response = post(service, "$process-message", content)
    assert response.status_code == 422, response.text
    valid("OperationOutcome", response.content)
    assert service.store.rows("SELECT 1 FROM documents") == []


@pytest.mark.parametrize("type", definitions.TYPES)
def test_our_definitions_are_found_by_url_and_read(service: Service, type: str) -> None:
    every = resources(service.client.get(f"/fhir/{type}"))
    assert every
    for one in every:
        assert service.client.get(f"/fhir/{type}/{one['id']}").json() == one
        assert resources(service.client.get(f"/fhir/{type}", params={"url": one["url"]})) == [one]
    assert service.client.get(f"/fhir/{type}/none").status_code == 404
    assert resources(service.client.get(f"/fhir/{type}?url=urn:none")) == []
    assert resources(service.client.get(f"/fhir/{type}?title=x"))[-1]["resourceType"] == "OperationOutcome"
    strict = service.client.get(f"/fhir/{type}?title=x", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400
    assert "title" in strict.text


def test_every_operation_and_profile_of_the_capability_statement_is_there(service: Service) -> None:
    (rest,) = service.client.get("/fhir/metadata").json()["rest"]
    profiles = {one["url"] for one in resources(service.client.get("/fhir/StructureDefinition"))}
    named = {profile for one in rest["resource"] for profile in one.get("supportedProfile", [])}
    assert named
    assert named <= profiles
    operations = {one["definition"] for one in resources_operations(rest)}
    own = {one for one in operations if one.startswith("urn:")}
    assert own == {one["url"] for one in resources(service.client.get("/fhir/OperationDefinition"))}


def resources_operations(rest: Any) -> list[Any]:
    return [*rest["operation"], *(one for kind in rest["resource"] for one in kind.get("operation", []))]
