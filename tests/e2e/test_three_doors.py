"""The same recording through every door, over real sockets, into one real store."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from actions.analysis import Analysis, Door
from actions.serialize import from_json
from inference.formats import read
from inference.recording import LEADS, Recording, Sex
from interop import client
from interop.hl7.waveform import to_oru
from tests.e2e.conftest import Service

RECORDED_AT = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(params=["00010_hr", "00184_hr"])
def recording(request: pytest.FixtureRequest, examples: Path) -> Recording:
    return replace(read(examples / f"{request.param}.hea"), age=74.0, sex=Sex.MALE, recorded_at=RECORDED_AT)


def _by_fhir(service: Service, recording: Recording) -> str:
    content = client.observation_to_send(recording, "4711")
    headers = {"Content-Type": "application/fhir+json"}
    with httpx.Client(base_url=service.url) as http:
        created = http.post("/fhir/Observation", content=content, headers=headers)
        assert created.status_code == 201, created.text
        found = http.get("/fhir/DiagnosticReport", params={"result": f"Observation/{created.json()['id']}"}).json()
    assert found["total"] == 1
    return str(found["entry"][0]["resource"]["id"])


def _by_mllp(service: Service, recording: Recording) -> str:
    order = f"O{uuid4().hex[:18]}"
    message = to_oru(recording, control_id=order, sent_at=RECORDED_AT, patient_id="4711", placer_order_number=order)
    answer = client.send_message("{}:{}".format(*service.mllp), message)
    assert answer.accepted, answer.text
    found = httpx.get(f"{service.url}/fhir/DiagnosticReport", params={"identifier": order}).json()
    assert found["total"] == 1
    return str(found["entry"][0]["resource"]["id"])


def _by_predict(service: Service, recording: Recording, age: float) -> str:
    body = {
        "ecg_signal": recording.signal.tolist(),
        "sampling_rate": recording.sampling_rate,
        "leads": list(LEADS),
        "recorded_at": RECORDED_AT.isoformat(),
        "patient_age": age,
        "patient_sex": "M",
    }
    headers = {"Content-Type": "application/json"}
    answered = httpx.post(f"{service.url}/predict", content=orjson.dumps(body), headers=headers)
    assert answered.status_code == 200, answered.text
    return str(answered.json()["prediction_id"])


def _analysis(service: Service, id: str) -> Analysis:
    with service.store() as store, store.reader() as reader:
        return from_json(reader.analyses.get(id).detail)


def _comparable(analysis: Analysis) -> Analysis:
    """Without id, door and times, in which they must differ."""
    return replace(analysis, id=UUID(int=0), door=Door.CLI, analyzed_at=RECORDED_AT, timings={})


def test_three_doors_give_the_same_analysis(service: Service, recording: Recording) -> None:
    by_fhir = _analysis(service, _by_fhir(service, recording))
    by_mllp = _analysis(service, _by_mllp(service, recording))
    assert by_fhir.age is not None
    by_predict = _analysis(service, _by_predict(service, recording, by_fhir.age))
    assert [a.door for a in (by_fhir, by_mllp, by_predict)] == [Door.FHIR, Door.MLLP, Door.PREDICT]
    assert len({a.id for a in (by_fhir, by_mllp, by_predict)}) == 3, "computation may be shared, analyses are not"
    assert _comparable(by_fhir) == _comparable(by_mllp) == _comparable(by_predict)
    assert by_fhir.prediction is not None
    assert by_fhir.recorded_at == RECORDED_AT


def test_what_the_three_doors_leave_behind(service: Service, recording: Recording) -> None:
    ids = [_by_fhir(service, recording), _by_mllp(service, recording), _by_predict(service, recording, 74.0)]
    for analysis_id in ids:
        report = _get(service, f"DiagnosticReport/{analysis_id}")
        assert report["status"] == "preliminary"
        for reference in report["result"]:
            assert _get(service, reference["reference"])["resourceType"] == "Observation"
    with service.store() as store:
        assert store.verify().problems == ()
        with store.reader() as reader:
            messages = [row for row in reader.outbox.list(None, 1000) if row.analysis_id in ids]
    assert [row.analysis_id for row in messages] == [ids[1]], "only what came by HL7 v2 is answered by HL7 v2"


def _get(service: Service, path: str) -> dict[str, Any]:
    answered = httpx.get(f"{service.url}/fhir/{path}")
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


def test_health_readiness_and_metrics_of_the_running_service(service: Service) -> None:
    assert httpx.get(f"{service.url}/health").status_code == 200
    ready = httpx.get(f"{service.url}/ready")
    assert ready.status_code == 200, ready.text
    assert set(ready.json()["checks"]) == {"model", "database", "disk", "mllp"}
    assert "ecg_model_info{" in httpx.get(f"{service.url}/metrics").text
