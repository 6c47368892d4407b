from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from actions.analysis import Mode
from audit.records import AuditEvent
from inference.errors import StorageUnavailable
from interop.predict.openapi import ANSWER
from tests.fakes import CANDIDATE, make_prediction
from tests.interop.service import Service, flat_ecg, matrix, real_ecg, running

BODY: dict[str, Any] = {"ecg_signal": matrix(real_ecg()), "patient_age": 74, "patient_sex": "M"}


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def predict(service: Service, **changed: Any) -> httpx.Response:
    return service.client.post("/predict", json=BODY | changed)


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert isinstance(document, dict)
    return document


def test_an_infarct_is_told_with_its_probability_and_what_to_do_first(service: Service) -> None:
    response = predict(service)
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == set(ANSWER["properties"])
    assert answer["diagnoses"][0] == {"code": "MI", "name": "Myocardial infarction", "probability": 0.83}
    first = answer["recommendations"][0]
    assert (first["urgency"], first["confidence"], first["diagnosis"]) == ("immediate", 0.83, "MI")
    assert "cath lab" in first["action"].lower()
    assert answer["latency_ms"] > 0


def test_it_is_stored_like_at_every_door_before_the_answer_and_names_no_patient(service: Service) -> None:
    answer = predict(service).json()
    report = orjson.loads(
        service.store.read(lambda store: store.documents.read("DiagnosticReport", answer["prediction_id"])).content
    )
    assert "reference" not in report["subject"]
    assert "identifier" not in report["subject"]
    assert service.store.events == [AuditEvent.ECG_ANALYSED]
    assert service.store.rows("SELECT door FROM inbox") == [("predict",)]


def test_the_report_can_be_read_through_the_fhir_door(service: Service) -> None:
    answer = predict(service).json()
    assert service.client.get(f"/fhir/DiagnosticReport/{answer['prediction_id']}").status_code == 200


def test_a_candidate_model_says_so() -> None:
    with running(make_prediction(CANDIDATE, MI=0.83), mode=Mode.SILENT) as service:
        answer = predict(service).json()
    assert answer["model"]["status"] == "candidate"
    assert answer["mode"] == "silent"


def test_the_same_body_twice_is_two_predictions(service: Service) -> None:
    assert predict(service).json()["prediction_id"] != predict(service).json()["prediction_id"]


def test_a_signal_that_nobody_could_read_is_refused_and_not_stored(service: Service) -> None:
    response = predict(service, ecg_signal=matrix(flat_ecg()))
    assert response.status_code == 422
    found = problem(response)
    assert (found["code"], found["element"]) == ("signal-uninterpretable", "ecg_signal")
    assert found["detail"]
    assert service.store.rows("SELECT 1 FROM inbox") == []
    assert service.metric('ecg_uninterpretable_total{door="predict"}') == 1


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"{", 400, "malformed"), (b"[]", 400, "malformed"), (b"{}", 422, "required"), (b'{"x":1}', 422, "invalid")],
)
def test_a_body_that_cannot_be_used_is_a_problem(service: Service, content: bytes, status: int, code: str) -> None:
    response = service.client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert problem(response)["code"] == code


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/fhir+json"])
def test_another_media_type_is_415(service: Service, media_type: str) -> None:
    response = service.client.post("/predict", content=b"{}", headers={"Content-Type": media_type})
    assert problem(response)["status"] == 415


def test_an_answer_in_xml_is_406(service: Service) -> None:
    response = service.client.post("/predict", json=BODY, headers={"Accept": "application/xml"})
    assert problem(response)["status"] == 406


def test_another_method_is_405_with_the_one_that_works(service: Service) -> None:
    response = service.client.get("/predict")
    assert problem(response)["code"] == "method-not-supported"
    assert response.headers["allow"] == "POST"


def test_a_failing_database_is_503_and_never_an_answer(service: Service) -> None:
    service.store.failure = StorageUnavailable("database: disk I/O error")
    response = predict(service)
    assert problem(response)["status"] == 503
    assert response.headers["retry-after"]
    assert service.metric('ecg_answered_total{door="predict"}') == 0


def test_a_body_over_the_limit_is_413() -> None:
    with running(http_max_bytes=4096) as service:
        assert problem(predict(service))["code"] == "too-large"


def test_the_correlation_id_is_in_the_problem_and_in_the_header(service: Service) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "ehr-7"}
    response = service.client.post("/predict", content=b"{", headers=headers)
    assert problem(response)["correlation_id"] == "ehr-7"
    assert response.headers["x-request-id"] == "ehr-7"
