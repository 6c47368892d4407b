import asyncio
import logging
from collections.abc import Iterator

import orjson
import pytest
from starlette.types import Message

from actions.analysis import Door
from inference.errors import NotFound
from interop.health import Health
from interop.web import DOORS, door_of, installed_version
from tests.interop.service import FHIR_JSON, Service, matrix, observation, real_ecg, running


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running() as started:
        yield started


class Broken:
    """An analyzer with a defect, whose error text holds patient data."""

    def __call__(self, recording: object, context: object) -> None:
        raise KeyError("Muster^Erika 19610203")


def test_the_schema_describes_bodies_that_are_parsed_by_hand(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    schema = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "ecg_signal" in schema["required"]
    assert "application/problem+json" in paths["/predict"]["post"]["responses"]["422"]["content"]
    assert FHIR_JSON in paths["/fhir/Observation"]["post"]["requestBody"]["content"]
    assert [p["name"] for p in paths["/fhir/ServiceRequest"]["get"]["parameters"]][-1] == "_count"
    assert service.client.get("/docs").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_the_operator_finds_health_readiness_and_metrics(service: Service, path: str) -> None:
    assert service.client.get(path).status_code == 200


def test_a_failing_check_makes_the_application_unready() -> None:
    async def closed() -> None:
        raise NotFound("the MLLP listener is closed")

    with running(health=Health({"mllp": closed})) as service:
        response = service.client.get("/ready")
        assert response.status_code == 503
        assert response.json()["failing"] == ["mllp"]


@pytest.mark.parametrize("path", ["/", "/nowhere", "/predict/x", "/fhirx"])
def test_an_unknown_address_outside_fhir_is_a_problem(service: Service, path: str) -> None:
    response = service.client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "not-found"


@pytest.mark.parametrize(
    ("path", "content", "taken", "given"),
    [
        ("/fhir/Observation", observation(real_ecg()), FHIR_JSON, FHIR_JSON),
        ("/predict", orjson.dumps({"ecg_signal": matrix(real_ecg())}), "application/json", "application/problem+json"),
    ],
    ids=["fhir", "predict"],
)
def test_a_defect_of_ours_is_500_with_the_id_and_no_data_of_the_patient(
    path: str, content: bytes, taken: str, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as service, caplog.at_level(logging.INFO):
        object.__setattr__(service.intake, "analyzer", Broken())
        headers = {"Content-Type": taken, "X-Request-Id": "ehr-9"}
        response = service.client.post(path, content=content, headers=headers)
    assert response.status_code == 500
    assert response.headers["content-type"] == given
    assert "ehr-9" in response.text
    assert "Muster" not in response.text
    assert "unexpected error" in caplog.messages


def test_a_client_that_goes_away_is_no_defect(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": headers,
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("ecg.example", 80),
        "asgi": {"version": "3.0"},
    }
    with caplog.at_level(logging.INFO):
        asyncio.run(service.app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert "unexpected error" not in caplog.messages


def test_requests_are_timed_by_route_template_and_never_by_address(service: Service) -> None:
    service.client.get("/fhir/DiagnosticReport/patient-4711")
    service.client.get("/fhir/Patient/patient-4711")
    assert service.metric('ecg_http_requests_total{method="GET",route="/fhir/DiagnosticReport/{id}",status="404"}') == 1
    assert "4711" not in service.intake.metrics.exposition()[0].decode()


def test_nothing_of_a_request_but_codes_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        service.client.get("/fhir/DiagnosticReport?birthdate=19610203", headers={"Prefer": "handling=strict"})
        service.client.get("/fhir/DiagnosticReport/Muster-Erika")
    ours = [record for record in caplog.records if record.name.startswith("interop")]
    assert [vars(record)["code"] for record in ours if record.msg == "refused"] == ["search-invalid", "not-found"]
    assert not any("Muster" in str(vars(record)) or "19610203" in str(vars(record)) for record in ours)


@pytest.mark.parametrize(
    ("path", "door"), [("/fhir", Door.FHIR), ("/fhir/x", Door.FHIR), ("/predict", Door.PREDICT), ("/fhirx", None)]
)
def test_doors_are_told_apart_by_path(path: str, door: Door | None) -> None:
    assert door_of(path) is door


def test_every_http_door_has_a_prefix_of_its_own() -> None:
    assert set(DOORS.values()) == {Door.FHIR, Door.PREDICT, Door.CDS_HOOKS}


def test_the_application_names_its_version(service: Service) -> None:
    assert service.client.get("/openapi.json").json()["info"]["version"] == installed_version()


def test_probes_are_logged_only_when_asked_for(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "interop.middleware"):
        for path in ("/health", "/metrics", "/fhir/metadata"):
            service.client.get(path)
    found = [(vars(record)["route"], record.levelname) for record in caplog.records if record.msg == "request"]
    assert found == [("/health", "DEBUG"), ("/metrics", "DEBUG"), ("/fhir/metadata", "INFO")]
