"""Create, update, patch and delete through the door, into a real store."""

import gzip
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from audit.records import AuditEvent
from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running
from tests.interop.valid import valid

ECG = real_ecg()
PATIENT = b'{"resourceType":"Patient","gender":"female","birthDate":"1952-03-02","multipleBirthInteger":2}'
JSON_PATCH = "application/json-patch+json"


def send(service: Service, method: str, path: str, content: bytes | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {} if content is None else {"Content-Type": FHIR_JSON}
    return service.client.request(method, f"/fhir/{path}", content=content, headers=kind | named)


def created(service: Service, type: str = "Patient", content: bytes = PATIENT) -> str:
    response = send(service, "POST", type, content)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def issue(response: httpx.Response) -> dict[str, Any]:
    valid("OperationOutcome", response.content)
    first = response.json()["issue"][0]
    assert isinstance(first, dict)
    return first


def versions(service: Service, path: str) -> list[tuple[str, str]]:
    bundle = send(service, "GET", f"{path}/_history")
    valid("Bundle", bundle.content)
    return [(one["request"]["method"], one["response"]["etag"]) for one in bundle.json().get("entry", [])]


def test_what_is_read_is_what_was_posted_but_for_id_and_meta(service: Service) -> None:
    text = b'{ "resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/1"},\n'
    text += b'"valueQuantity":{"value":1.50,"unit":"mV"},"effectiveDateTime":"2026-03-02T09:00:00.120Z" }'
    name = created(service, "Observation", text)
    read = send(service, "GET", f"Observation/{name}").content
    assert b'"valueQuantity":{"value":1.50,"unit":"mV"}' in read
    assert b'"effectiveDateTime":"2026-03-02T09:00:00.120Z"' in read


def test_an_update_makes_the_next_version_and_the_first_stays_readable(service: Service) -> None:
    name = created(service)
    changed = orjson.dumps(orjson.loads(PATIENT) | {"id": name, "gender": "male"})
    response = send(service, "PUT", f"Patient/{name}", changed, If_Match='W/"1"')
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"2"')
    assert response.headers["location"] == f"{BASE}/fhir/Patient/{name}/_history/2"
    assert send(service, "GET", f"Patient/{name}").json()["gender"] == "male"
    assert send(service, "GET", f"Patient/{name}/_history/1").json()["gender"] == "female"
    assert versions(service, f"Patient/{name}") == [("PUT", 'W/"2"'), ("POST", 'W/"1"')]
    assert service.store.events == [AuditEvent.RESOURCE_CREATED, AuditEvent.RESOURCE_UPDATED]
    assert [found["id"] for found in matches(service, "Patient?gender=male")] == [name]
    assert matches(service, "Patient?gender=female") == []


def matches(service: Service, path: str) -> list[Any]:
    return [entry["resource"] for entry in send(service, "GET", path).json().get("entry", [])]


def test_an_update_that_changes_nothing_makes_no_version(service: Service) -> None:
    name = created(service)
    response = send(service, "PUT", f"Patient/{name}", orjson.dumps(orjson.loads(PATIENT) | {"id": name}))
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"1"')
    assert len(versions(service, f"Patient/{name}")) == 1


def test_an_update_of_another_version_than_the_client_knows_is_412(service: Service) -> None:
    name = created(service)
    changed = orjson.dumps(orjson.loads(PATIENT) | {"id": name, "gender": "male"})
    response = send(service, "PUT", f"Patient/{name}", changed, If_Match='W/"2"')
    assert response.status_code == 412
    assert issue(response)["code"] == "conflict"
    assert send(service, "PUT", f"Patient/{name}", changed, If_Match="nonsense").status_code == 400
    assert (
        send(service, "PUT", "Patient/absent", changed.replace(name.encode(), b"absent"), If_Match='W/"1"').status_code
        == 412
    )


def test_of_updates_of_one_version_at_once_one_is_stored(service: Service) -> None:
    name = created(service)
    requests = [
        (
            "PUT",
            f"/fhir/Patient/{name}",
            {
                "content": orjson.dumps(orjson.loads(PATIENT) | {"id": name, "birthDate": f"19{year}-01-01"}),
                "headers": {"Content-Type": FHIR_JSON, "If-Match": 'W/"1"'},
            },
        )
        for year in range(50, 58)
    ]
    answers = service.client.together(requests)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


def test_an_update_under_an_id_of_the_client_creates(service: Service) -> None:
    response = send(service, "PUT", "Patient/mine", orjson.dumps(orjson.loads(PATIENT) | {"id": "mine"}))
    assert (response.status_code, response.headers["etag"]) == (201, 'W/"1"')
    assert send(service, "GET", "Patient/mine").status_code == 200


@pytest.mark.parametrize("other", [{"id": "other"}, {}])
def test_an_update_whose_resource_has_another_id_is_400(service: Service, other: dict[str, str]) -> None:
    response = send(service, "PUT", "Patient/mine", orjson.dumps(orjson.loads(PATIENT) | other))
    assert response.status_code == 400
    assert issue(response)["expression"] == ["Patient.id"]


def test_what_is_deleted_is_gone_and_stays_in_its_history_and_may_come_back(service: Service) -> None:
    name = created(service)
    assert send(service, "DELETE", f"Patient/{name}").status_code == 204
    assert send(service, "DELETE", f"Patient/{name}").status_code == 204
    gone = send(service, "GET", f"Patient/{name}")
    assert (gone.status_code, issue(gone)["code"]) == (410, "deleted")
    assert matches(service, "Patient") == []
    assert send(service, "GET", f"Patient/{name}/_history/1").status_code == 200
    assert (
        send(service, "PUT", f"Patient/{name}", orjson.dumps(orjson.loads(PATIENT) | {"id": name})).status_code == 201
    )
    assert versions(service, f"Patient/{name}") == [("PUT", 'W/"3"'), ("DELETE", 'W/"2"'), ("POST", 'W/"1"')]


def test_a_patch_changes_what_it_names_and_keeps_the_rest_as_it_was_written(service: Service) -> None:
    text = PATIENT.replace(b'"gender"', b'"extension":[{"url":"urn:x","valueDecimal":1.50}],"gender"')
    name = created(service, content=text)
    patch = b'[{"op":"replace","path":"/gender","value":"male"}]'
    response = send(service, "PATCH", f"Patient/{name}", patch, Content_Type=JSON_PATCH)
    assert response.status_code == 200, response.text
    assert (response.json()["gender"], response.headers["etag"]) == ("male", 'W/"2"')
    assert b"1.50" in send(service, "GET", f"Patient/{name}").content


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        (b"{}", 400),
        (b'[{"op":"remove","path":"/nothing"}]', 422),
        (b'[{"op":"test","path":"/gender","value":"male"}]', 422),
        (b'[{"op":"replace","path":"/gender","value":"none"}]', 422),
        (b'[{"op":"replace","path":"/id","value":"x"}]', 422),
    ],
)
def test_a_patch_that_cannot_be_done_changes_nothing(service: Service, patch: bytes, status: int) -> None:
    name = created(service)
    response = send(service, "PATCH", f"Patient/{name}", patch, Content_Type=JSON_PATCH)
    assert response.status_code == status
    issue(response)
    assert len(versions(service, f"Patient/{name}")) == 1


def test_a_patch_in_another_format_is_415_and_of_what_is_not_there_404(service: Service) -> None:
    assert send(service, "PATCH", "Patient/none", b"[]").status_code == 415
    assert send(service, "PATCH", "Patient/none", b"[]", Content_Type=JSON_PATCH).status_code == 404


def test_patches_at_once_are_all_applied(service: Service) -> None:
    name = created(service)
    requests = [
        (
            "PATCH",
            f"/fhir/Patient/{name}",
            {
                "content": orjson.dumps([{"op": "add", "path": f"/{member}", "value": value}]),
                "headers": {"Content-Type": JSON_PATCH},
            },
        )
        for member, value in (("active", True), ("deceasedBoolean", False), ("language", "de"), ("gender", "male"))
    ]
    assert {answer.status_code for answer in service.client.together(requests)} == {200}
    read = send(service, "GET", f"Patient/{name}").json()
    assert (read["active"], read["deceasedBoolean"], read["language"], read["gender"]) == (True, False, "de", "male")


IDENTIFIED = PATIENT[:-1] + b',"identifier":[{"system":"urn:h","value":"4711"}]}'
CONDITION = "identifier=urn:h|4711"


def test_of_conditional_creates_at_once_one_creates(service: Service) -> None:
    request = (
        "POST",
        "/fhir/Patient",
        {"content": IDENTIFIED, "headers": {"Content-Type": FHIR_JSON, "If-None-Exist": CONDITION}},
    )
    answers = service.client.together([request] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert service.store.count("Patient") == 1


def test_a_conditional_update_creates_then_updates_then_is_ambiguous(service: Service) -> None:
    first = send(service, "PUT", f"Patient?{CONDITION}", IDENTIFIED)
    changed = IDENTIFIED.replace(b"female", b"male")
    second = send(service, "PUT", f"Patient?{CONDITION}", changed)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["etag"] == 'W/"2"'
    created(service, content=IDENTIFIED)
    assert send(service, "PUT", f"Patient?{CONDITION}", IDENTIFIED).status_code == 412


def test_of_conditional_updates_at_once_one_creates_and_the_others_find_it(service: Service) -> None:
    requests = [
        (
            "PUT",
            f"/fhir/Patient?{CONDITION}",
            {"content": IDENTIFIED.replace(b"1952", str(year).encode()), "headers": {"Content-Type": FHIR_JSON}},
        )
        for year in range(1950, 1958)
    ]
    answers = service.client.together(requests)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert service.store.count("Patient") == 1


def test_a_conditional_delete_deletes_the_one_that_meets_it(service: Service) -> None:
    created(service, content=IDENTIFIED)
    assert send(service, "DELETE", "Patient?identifier=urn:h|other").status_code == 204
    assert send(service, "DELETE", f"Patient?{CONDITION}").status_code == 204
    assert matches(service, "Patient") == []
    for _ in range(2):
        created(service, content=IDENTIFIED)
    assert send(service, "DELETE", f"Patient?{CONDITION}").status_code == 412
    assert send(service, "DELETE", "Patient").status_code == 400


def ecg(service: Service, content: bytes | None = None) -> tuple[str, str]:
    """The ids of an ECG and of its report."""
    response = send(service, "POST", "Observation", content or observation(ECG))
    assert response.status_code == 201
    return response.json()["id"], response.headers["link"].partition(">")[0].rpartition("/")[2]


def status_of(service: Service, report: str) -> tuple[str, set[str]]:
    """Of a report and of what it proposes."""
    requests = matches(service, f"ServiceRequest?reason=DiagnosticReport/{report}")
    assert requests
    assert {request["intent"] for request in requests} == {"proposal"}
    return send(service, "GET", f"DiagnosticReport/{report}").json()["status"], {one["status"] for one in requests}


def test_age_and_sex_come_from_a_stored_patient(service: Service) -> None:
    send(service, "PUT", "Patient/1", orjson.dumps(orjson.loads(PATIENT) | {"id": "1"}))
    ecg(service, observation(replace(ECG, age=None), identifier="A"))
    (row,) = service.store.rows("SELECT age, sex FROM analyses")
    assert row == (74.0, "female")


def test_a_child_is_outside_intended_use_by_its_stored_birth_date(service: Service) -> None:
    send(service, "PUT", "Patient/1", b'{"resourceType":"Patient","id":"1","birthDate":"2019-03-02"}')
    _, report = ecg(service)
    assert matches(service, f"ServiceRequest?reason=DiagnosticReport/{report}") == []


def test_another_signal_by_put_is_analysed_again_and_the_first_results_are_taken_back(service: Service) -> None:
    name, report = ecg(service)
    other = replace(ECG, signal=ECG.signal * 2)
    changed = orjson.dumps(orjson.loads(observation(other)) | {"id": name})
    response = send(service, "PUT", f"Observation/{name}", changed)
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"2"')
    second = response.headers["link"].partition(">")[0].rpartition("/")[2]
    assert status_of(service, report) == ("entered-in-error", {"entered-in-error"})
    assert status_of(service, second) == ("preliminary", {"draft"})
    assert len(service.classify.calls) == 2
    assert AuditEvent.ECG_WITHDRAWN in service.store.events
    again = send(service, "POST", "Observation", observation(other))
    assert (again.status_code, again.headers["location"]) == (200, response.headers["location"])


def test_another_note_by_put_keeps_the_analysis(service: Service) -> None:
    name, report = ecg(service)
    noted = orjson.dumps(orjson.loads(observation(ECG)) | {"id": name, "note": [{"text": "left arm up"}]})
    response = send(service, "PUT", f"Observation/{name}", noted)
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"2"')
    assert status_of(service, report) == ("preliminary", {"draft"})
    assert len(service.classify.calls) == 1


def test_withdrawing_an_ecg_withdraws_its_report_and_proposals(service: Service) -> None:
    name, report = ecg(service)
    withdrawn = orjson.dumps(orjson.loads(observation(ECG)) | {"id": name, "status": "entered-in-error"})
    assert send(service, "PUT", f"Observation/{name}", withdrawn).status_code == 200
    assert status_of(service, report) == ("entered-in-error", {"entered-in-error"})


def test_deleting_an_ecg_withdraws_its_report_and_frees_its_identifier(service: Service) -> None:
    name, report = ecg(service)
    assert send(service, "DELETE", f"Observation/{name}").status_code == 204
    assert status_of(service, report) == ("entered-in-error", {"entered-in-error"})
    assert ecg(service)[0] != name


def overread(service: Service, report: str, **changed: Any) -> httpx.Response:
    current = send(service, "GET", f"DiagnosticReport/{report}").json()
    read = {"resultsInterpreter": [{"reference": "Practitioner/7"}], "status": "final"} | changed
    whole = {name: value for name, value in (current | read).items() if value is not None}
    return send(service, "PUT", f"DiagnosticReport/{report}", orjson.dumps(whole))


def test_a_clinician_confirms_a_report_and_its_proposals_become_active(service: Service) -> None:
    _, report = ecg(service)
    response = overread(service, report)
    assert response.status_code == 200, response.text
    assert status_of(service, report) == ("final", {"active"})
    (row,) = service.store.read(lambda store: store.overreads.of(report))
    assert (row.practitioner, row.status_before, row.status_after, row.agreed) == (
        "Practitioner/7",
        "preliminary",
        "final",
        True,
    )
    assert service.store.events[-1] == AuditEvent.REPORT_OVERREAD


def test_a_clinician_refutes_a_finding_and_what_was_proposed_for_it_is_revoked(service: Service) -> None:
    _, report = ecg(service)
    normal = [{"coding": [{"system": "http://snomed.info/sct", "code": "164854000"}]}]
    response = overread(service, report, conclusion="Normal ECG.", conclusionCode=normal)
    assert response.status_code == 200, response.text
    assert status_of(service, report) == ("final", {"revoked"})
    (row,) = service.store.read(lambda store: store.overreads.of(report))
    assert (row.agreed, row.findings["MI"], row.findings["NORM"]) == (False, False, True)


@pytest.mark.parametrize(
    ("changed", "status", "expression"),
    [
        ({"resultsInterpreter": None}, 422, "DiagnosticReport.resultsInterpreter"),
        ({"status": "amended"}, 422, "DiagnosticReport.status"),
        ({"subject": {"reference": "Patient/2"}}, 422, "DiagnosticReport.subject"),
        ({"result": None}, 422, "DiagnosticReport.result"),
        ({"meta": {"versionId": "7"}}, 412, None),
    ],
)
def test_an_over_read_that_is_not_allowed_changes_nothing(
    service: Service, changed: dict[str, Any], status: int, expression: str | None
) -> None:
    _, report = ecg(service)
    response = overread(service, report, **changed)
    assert response.status_code == status, response.text
    if expression:
        assert issue(response)["expression"] == [expression]
    assert status_of(service, report) == ("preliminary", {"draft"})


def test_an_over_read_by_patch_needs_the_version_that_was_read(service: Service) -> None:
    _, report = ecg(service)
    patch = orjson.dumps(
        [
            {"op": "replace", "path": "/status", "value": "final"},
            {"op": "add", "path": "/resultsInterpreter", "value": [{"reference": "Practitioner/7"}]},
        ]
    )
    path = f"DiagnosticReport/{report}"
    assert send(service, "PATCH", path, patch, Content_Type=JSON_PATCH).status_code == 412
    assert send(service, "PATCH", path, patch, Content_Type=JSON_PATCH, If_Match='W/"2"').status_code == 412
    assert send(service, "PATCH", path, patch, Content_Type=JSON_PATCH, If_Match='W/"1"').status_code == 200
    assert status_of(service, report) == ("final", {"active"})
    assert overread(service, report, status="amended", conclusion="Old infarction.").status_code == 200
    assert overread(service, report, status="final").status_code == 422


def test_what_the_service_made_is_not_for_clients_to_change(service: Service) -> None:
    ecg(service)
    for type_ in ("ServiceRequest", "Device"):
        (made, *_) = matches(service, type_)
        changed = orjson.dumps(made | {"status": "active" if type_ == "ServiceRequest" else "inactive"})
        assert send(service, "PUT", f"{type_}/{made['id']}", changed).status_code == 422
        assert send(service, "DELETE", f"{type_}/{made['id']}").status_code == 422
    report = orjson.dumps({"resourceType": "DiagnosticReport", "id": "x", "status": "final", "code": {"text": "x"}})
    assert send(service, "PUT", "DiagnosticReport/x", report).status_code == 405


def test_answers_are_cut_counted_and_indented_as_asked(service: Service) -> None:
    name, _ = ecg(service)
    whole = send(service, "GET", f"Observation/{name}")
    summary = send(service, "GET", f"Observation/{name}?_summary=true")
    assert len(summary.content) < len(whole.content) / 10
    assert summary.json()["meta"]["tag"][0]["code"] == "SUBSETTED"
    elements = send(service, "GET", "Observation?_elements=status&_id=" + name).json()["entry"][0]["resource"]
    assert set(elements) == {"resourceType", "id", "meta", "status", "code"}
    pretty = send(service, "GET", f"Observation/{name}?_pretty=true")
    assert pretty.json() == whole.json()
    assert pretty.content.count(b"\n") > 50
    counted = send(service, "GET", "Observation?_summary=count")
    assert (counted.json()["total"], counted.json().get("entry")) == (service.store.count("Observation"), None)
    assert send(service, "GET", f"Observation/{name}?_summary=count").status_code == 400


def test_bodies_are_taken_and_given_in_gzip(service: Service) -> None:
    sent = gzip.compress(observation(ECG))
    response = send(service, "POST", "Observation", sent, Content_Encoding="gzip", Accept_Encoding="gzip")
    assert (response.status_code, response.headers["content-encoding"]) == (201, "gzip")
    assert response.json()["component"] == orjson.loads(observation(ECG))["component"]
    refused = send(service, "POST", "Observation", sent, Content_Encoding="br")
    assert refused.status_code == 415
    valid("OperationOutcome", refused.content)


def test_pages_of_named_origins_only_may_call() -> None:
    asked = {"Origin": "https://ehr.example", "Access-Control-Request-Method": "PUT"}
    with running(cors_origins="https://ehr.example") as service:
        allowed = service.client.request("OPTIONS", "/fhir/Patient/1", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://ehr.example"
        other = service.client.request("GET", "/fhir/Patient", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    with running() as service:
        assert (
            "access-control-allow-origin" not in send(service, "GET", "Patient", Origin="https://ehr.example").headers
        )


def test_a_create_with_a_search_in_its_url_is_refused_because_it_would_make_a_duplicate(service: Service) -> None:
    response = send(service, "POST", f"Patient?{CONDITION}", IDENTIFIED)
    assert response.status_code == 400
    assert "If-None-Exist" in issue(response)["details"]["text"]
    assert send(service, "POST", "Patient?_format=json", IDENTIFIED).status_code == 201


def test_an_empty_object_in_a_list_is_refused(service: Service) -> None:
    response = send(service, "POST", "Patient", b'{"resourceType":"Patient","name":[{}]}')
    assert (response.status_code, issue(response)["expression"]) == (422, ["Patient.name[0]"])
