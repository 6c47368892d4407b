"""Monitoring beside the running service, on both databases: ECGs by the doors, an over-read by FHIR, the reports by
command, and what the service then says of itself."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from inference.formats import read
from inference.recording import Sex
from tests.conftest import ROOT
from tests.e2e.conftest import Service, command, running
from tests.e2e.doors import FHIR_JSON, counted, ecg, eventually, matrix, observation, post_matrix, post_observation

pytestmark = pytest.mark.slow

EACH = 20  # the smallest group that is compared
NORMAL = read(ROOT / "examples" / "00010_hr.hea").signal


def analysed(service: Service, sex: Sex, **changed: Any) -> None:
    assert post_matrix(service, matrix(ecg(sex=sex, **changed))).status_code == 200


def confirmed(service: Service) -> None:
    """An ECG by the FHIR door whose report a clinician confirms."""
    assert post_observation(service, observation(ecg())).status_code == 201
    (found,) = httpx.get(f"{service.url}/fhir/DiagnosticReport?_count=1").json()["entry"]
    read = found["resource"] | {"status": "final", "resultsInterpreter": [{"reference": "Practitioner/7"}]}
    url = f"{service.url}/fhir/DiagnosticReport/{read['id']}"
    answer = httpx.put(url, content=orjson.dumps(read), headers={"Content-Type": FHIR_JSON})
    assert answer.status_code == 200, answer.text


def monitored(service: Service, kind: str, *options: str) -> int:
    done = command("monitor", kind, *options, folder=service.folder, database_url=service.database)
    assert "Traceback" not in done.stderr
    return done.returncode


def test_unlike_treatment_is_found_beside_the_running_service_and_its_end_too(
    own_database: str, tmp_path: Path
) -> None:
    with running(tmp_path, database_url=own_database) as service:
        assert httpx.get(f"{service.url}/monitoring/bias").status_code == 404
        for _ in range(EACH):  # men with an infarct, women without
            analysed(service, Sex.MALE)
            analysed(service, Sex.FEMALE, signal=NORMAL)
        confirmed(service)
        assert monitored(service, "bias", "--fail-on-flag") == 1
        assert monitored(service, "performance") == 0

        report = httpx.get(f"{service.url}/monitoring/bias").json()
        assert (report["flag"], report["stale"], report["groups"]["sex"]["flag"]) == (True, False, True)
        groups = report["groups"]["sex"]["groups"]
        assert (groups["male"]["n"], groups["male"]["rate"], groups["female"]["rate"]) == (EACH + 1, 1.0, 0.0)
        found = httpx.get(f"{service.url}/monitoring/performance").json()
        assert (found["overreads"]["n"], found["agreement"]["rate"], found["classes"]["MI"]["positives"]) == (1, 1.0, 1)
        assert found["latency"]["n"] == 2 * EACH + 1
        assert 0 < found["latency"]["p50_seconds"] <= found["latency"]["p99_seconds"] < 5
        assert found["counts"]["door"] == {"predict": 2 * EACH, "fhir": 1}
        (alert,) = httpx.get(f"{service.url}/monitoring/alerts").json()["alerts"]
        assert (alert["key"], alert["severity"], alert["notices"]) == ("bias:sex", "warning", [])
        assert eventually(lambda: counted(service, "ecg_monitoring_flag", kind="bias") == 1)

        for _ in range(5 * EACH):
            analysed(service, Sex.FEMALE)
        assert monitored(service, "bias", "--fail-on-flag") == 0
        assert httpx.get(f"{service.url}/monitoring/alerts").json() == {"alerts": []}
        assert eventually(lambda: counted(service, "ecg_monitoring_flag", kind="bias") == 0)
