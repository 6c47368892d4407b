import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from actions.analysis import Mode
from audit.records import AuditEvent
from inference.errors import ModelUnavailable, StorageUnavailable
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.recording import Recording
from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, FileStore, Service, file_store, flat_ecg, observation, real_ecg, running
from tests.interop.valid import valid

ECG = real_ecg()
CONTENT = observation(ECG)


def post(service: Service, content: bytes = CONTENT, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.post("/fhir/Observation", content=content, headers={"Content-Type": FHIR_JSON} | named)


def issue(response: httpx.Response) -> dict[str, Any]:
    valid("OperationOutcome", response.content)
    assert response.headers["content-type"] == FHIR_JSON
    first = response.json()["issue"][0]
    assert isinstance(first, dict)
    return first


def count(service: Service, type: str) -> int:
    return service.store.count(type)


def test_an_ecg_is_stored_and_analysed_before_the_answer(service: Service) -> None:
    response = post(service)
    assert response.status_code == 201
    assert re.fullmatch(rf"{BASE}/fhir/Observation/[\w-]+/_history/1", response.headers["location"])
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["last-modified"].endswith("GMT")
    assert response.headers["content-type"] == FHIR_JSON
    assert count(service, "DiagnosticReport") == 1
    assert service.store.events == [AuditEvent.ECG_ANALYSED]


def test_the_body_is_the_stored_observation_with_an_id_of_ours(service: Service) -> None:
    response = post(service)
    stored = response.json()
    assert stored["id"] != "client-id"
    assert stored["id"] in response.headers["location"]
    assert stored["component"] == orjson.loads(CONTENT)["component"]


def test_the_link_header_leads_to_the_report(service: Service) -> None:
    link = post(service).headers["link"]
    url, relation = re.fullmatch(r'<(.+)>; rel="(\w+)"', link).groups()  # type: ignore[union-attr]
    assert relation == "related"
    report = service.client.get(url.removeprefix(BASE))
    found = valid("DiagnosticReport", report.content)
    assert found.status == "preliminary"
    assert found.result[0].reference.startswith("Observation/")


def test_a_minimal_answer_has_headers_and_no_body(service: Service) -> None:
    response = post(service, Prefer="return=minimal")
    assert (response.status_code, response.content) == (201, b"")
    assert response.headers["location"]


def test_an_outcome_tells_the_conclusion(service: Service) -> None:
    response = post(service, Prefer="return=OperationOutcome")
    valid("OperationOutcome", response.content)
    assert "infarction" in response.json()["issue"][1]["details"]["text"]


def test_the_public_url_is_the_base_of_location() -> None:
    with running(public_url="https://ecg.hospital.example/") as service:
        assert post(service).headers["location"].startswith("https://ecg.hospital.example/fhir/Observation/")


def test_the_same_ecg_again_is_200_with_the_first_location_and_no_second_analysis(service: Service) -> None:
    first, again = post(service), post(service)
    assert again.status_code == 200
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["link"] == first.headers["link"]
    assert len(service.classify.calls) == 1
    assert service.metric('ecg_duplicates_total{door="fhir"}') == 1


def test_the_same_identifier_with_another_signal_is_a_conflict(service: Service) -> None:
    post(service)
    other = Recording(ECG.signal[:, :4000].copy(), 500.0, recorded_at=ECG.recorded_at)
    response = post(service, observation(other))
    assert response.status_code == 409
    assert issue(response)["code"] == "duplicate"
    assert issue(response)["expression"] == ["Observation.identifier"]
    assert len(service.classify.calls) == 1


def test_without_an_identifier_every_ecg_is_a_new_one(service: Service) -> None:
    content = observation(ECG, identifier=None)
    assert post(service, content).headers["location"] != post(service, content).headers["location"]


def test_the_same_ecg_several_times_at_once_is_created_and_analysed_once(service: Service) -> None:
    request = ("POST", "/fhir/Observation", {"content": CONTENT, "headers": {"Content-Type": FHIR_JSON}})
    answers = service.client.together([request] * 6)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(service.classify.calls) == 1
    assert count(service, "DiagnosticReport") == 1


def test_the_same_identifier_under_two_patients_at_once_is_created_once(service: Service) -> None:
    contents = [observation(ECG, patient=f"Patient/{number}") for number in (1, 2)]
    requests = [("POST", "/fhir/Observation", {"content": c, "headers": {"Content-Type": FHIR_JSON}}) for c in contents]
    answers = service.client.together(requests)
    assert sorted(answer.status_code for answer in answers) == [200, 201]
    assert count(service, "DiagnosticReport") == 1


def test_a_conditional_create_makes_one_when_there_is_none_and_none_when_there_is_one(service: Service) -> None:
    condition = "identifier=urn:oid:1.2.3|ECG-1"
    first = post(service, If_None_Exist=condition)
    other = Recording(ECG.signal[:, :4000].copy(), 500.0, recorded_at=ECG.recorded_at)
    again = post(service, observation(other), If_None_Exist=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert len(service.classify.calls) == 1


def test_if_none_exist_holds_when_another_process_comes_between_two_reads() -> None:
    """The condition is looked up just before the other's commit, the identifier just after it."""
    early: list[FileStore] = []

    def read(query: Callable[[Any], Any]) -> Any:
        return (early.pop() if early else started.store).read(query)

    condition = "identifier=urn:oid:1.2.3|ECG-1"
    with file_store() as empty, running(read_store=read) as started:
        first = post(started, If_None_Exist=condition)
        early.append(empty)
        other = replace(ECG, signal=ECG.signal * 2)
        second = post(started, observation(other), If_None_Exist=condition)
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.headers["location"] == first.headers["location"]


def test_a_condition_that_several_meet_is_412(service: Service) -> None:
    for system in ("urn:oid:1.2.3", "urn:oid:1.2.4"):
        post(service, observation(ECG, identifier="X", system=system))
    response = post(service, observation(ECG, identifier="X"), If_None_Exist="identifier=X")
    assert response.status_code == 412
    assert issue(response)["code"] == "multiple-matches"


@pytest.mark.parametrize("condition", ["nonsense", "birthdate=1961", "identifier=", "_count=1", "code:text=x"])
def test_a_condition_that_is_not_understood_is_refused(service: Service, condition: str) -> None:
    response = post(service, If_None_Exist=condition)
    assert response.status_code == 400
    assert count(service, "Observation") == 0


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_withdrawn_ecg_is_stored_and_never_analysed(service: Service, status: str) -> None:
    content = observation(ECG, status=status)
    first, again = post(service, content), post(service, content)
    assert (first.status_code, again.status_code) == (201, 200)
    assert "link" not in first.headers
    assert service.classify.calls == []
    assert count(service, "DiagnosticReport") == 0
    assert service.store.events == [AuditEvent.OBSERVATION_STORED]


def test_a_silent_analysis_is_stored_but_no_link_or_conclusion_leads_to_it() -> None:
    with running(mode=Mode.SILENT) as service:
        for _ in range(2):
            response = post(service, Prefer="return=OperationOutcome")
            assert "link" not in response.headers
            assert "infarction" not in response.text
        assert count(service, "DiagnosticReport") == 1


def test_a_signal_that_nobody_could_read_is_refused_and_not_stored(service: Service) -> None:
    response = post(service, observation(flat_ecg()))
    assert response.status_code == 422
    assert issue(response)["code"] == "processing"
    assert issue(response)["details"]["text"]
    assert service.store.rows("SELECT 1 FROM documents") == []
    assert service.metric('ecg_uninterpretable_total{door="fhir"}') == 1
    assert service.metric('ecg_refused_total{code="signal-uninterpretable",door="fhir"}') == 1


def without(name: str) -> bytes:
    document = orjson.loads(CONTENT)
    del document[name]
    return orjson.dumps(document)


def with_component(index: int, **sampled: Any) -> bytes:
    document = orjson.loads(CONTENT)
    data = document["component"][index]["valueSampledData"]
    document["component"][index]["valueSampledData"] = {k: v for k, v in (data | sampled).items() if v is not None}
    return orjson.dumps(document)


@pytest.mark.parametrize(
    ("content", "status", "expression"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[1]", 400, None),
        (b"\xff\xfe{}", 400, None),
        (b'{"resourceType":"Patient"}', 422, "resourceType"),
        (without("subject"), 422, "Observation.subject"),
        (without("status"), 422, "Observation.status"),
        (without("component"), 422, "Observation.component"),
        (with_component(3, data="1 2 x"), 422, "Observation.component[3].valueSampledData.data"),
        (with_component(3, period=0), 422, None),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_element(
    service: Service, content: bytes, status: int, expression: str | None
) -> None:
    response = post(service, content)
    assert response.status_code == status
    found = issue(response)
    if expression:
        assert found["expression"] == [expression]
    assert service.store.rows("SELECT 1 FROM documents") == []


def test_a_missing_unit_is_refused_by_name_and_never_guessed(service: Service) -> None:
    response = post(service, with_component(5, origin={"value": 0}))
    assert response.status_code == 422
    assert issue(response)["expression"][0].startswith("Observation.component[5].valueSampledData.origin")


def test_an_observation_that_is_no_ecg_is_stored_and_not_analysed(service: Service) -> None:
    content = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/1"},
        "valueQuantity": {"value": 72, "unit": "/min"},
    }
    response = post(service, orjson.dumps(content))
    assert response.status_code == 201
    assert count(service, "DiagnosticReport") == 0
    assert service.store.events == [AuditEvent.RESOURCE_CREATED]


@pytest.mark.parametrize("media_type", ["text/plain", "application/fhir+xml", "application/xml", ""])
def test_another_media_type_is_415(service: Service, media_type: str) -> None:
    response = post(service, Content_Type=media_type)
    assert response.status_code == 415
    assert issue(response)["code"] == "not-supported"


def test_an_answer_in_xml_is_406_and_the_format_parameter_overrides_accept(service: Service) -> None:
    assert post(service, Accept="application/fhir+xml").status_code == 406
    url = "/fhir/Observation?_format=json"
    headers = {"Content-Type": FHIR_JSON, "Accept": "application/fhir+xml"}
    assert service.client.post(url, content=CONTENT, headers=headers).status_code == 201


def test_a_body_over_the_limit_is_413() -> None:
    with running(http_max_bytes=4096) as service:
        response = post(service)
        assert response.status_code == 413
        assert issue(response)["code"] == "too-long"


def test_a_failing_database_is_503_and_nothing_is_acknowledged(service: Service) -> None:
    service.store.failure = StorageUnavailable("database: disk I/O error")
    response = post(service)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert issue(response)["code"] == "transient"
    service.store.failure = None
    assert post(service).status_code == 201


def test_a_failing_model_is_503(service: Service) -> None:
    broken = replace(service.intake.analyzer, classify=unavailable)
    object.__setattr__(service.intake, "analyzer", broken)
    assert post(service).status_code == 503


def unavailable(windows: Sequence[ModelInput]) -> Prediction:
    raise ModelUnavailable("inference failed")


def test_a_full_queue_is_503_with_a_time_to_come_back() -> None:
    with running(lane_limit=0) as service:
        response = post(service)
        assert response.status_code == 503
        assert issue(response)["code"] == "throttled"
        assert "retry-after" in response.headers


def test_requests_are_counted_by_outcome(service: Service) -> None:
    post(service)
    post(service, b"{")
    assert service.metric('ecg_received_total{door="fhir"}') == 2
    assert service.metric('ecg_answered_total{door="fhir"}') == 1
    assert service.metric('ecg_refused_total{code="malformed",door="fhir"}') == 1
    assert service.metric("ecg_write_seconds_count") == 1
