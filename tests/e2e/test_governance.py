"""What an auditor asks of the running service, on both databases: every analysis again, whichever door it came by; the
entries of a period, verified without the database; retention, and what is then still there."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import orjson
import pytest

from inference.recording import INDEPENDENT_LEADS, LEADS, Recording
from interop.client import hook_call
from tests.e2e.conftest import Service, command
from tests.e2e.doors import FHIR_JSON, ecg, matrix, message, observation, post_matrix, post_observation, send

pytestmark = pytest.mark.slow

EIGHT = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
STORED = "stored Observation"
CALCULATED = "stored Observation, calculated leads calculated again"
RECEIVED = "item as it was received"


def replay(service: Service, analysis: str) -> dict[str, Any]:
    done = command("audit", "replay", analysis, "--json", folder=service.folder, database_url=service.database)
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if report["differences"] else 0)
    return report


def newest(service: Service, door: str) -> str:
    """The id of the newest analysis that came by a door."""
    with service.store() as store, store.reader() as reader:
        return next(str(row.analysis_id) for row in reader.inbox.list(50) if row.received.door == door)


def by_fhir(service: Service, recording: Recording, leads: list[int]) -> None:
    body = orjson.loads(observation(recording))
    body["component"] = [body["component"][place] for place in leads]
    assert post_observation(service, orjson.dumps(body)).status_code == 201


def by_mllp(service: Service, recording: Recording, leads: list[int]) -> None:
    segments = message(recording).split(b"\r")
    left_out = {b"1.1.1.%d" % (place + 1) for place in range(len(LEADS)) if place not in leads}

    def stays(segment: bytes) -> bool:
        fields = segment.split(b"|")
        return fields[0] != b"OBX" or b".".join(fields[4].split(b".")[:4]) not in left_out

    (answer,) = send(service.mllp, b"\r".join(segment for segment in segments if stays(segment)))
    assert b"MSA|AA|" in answer


def by_predict(service: Service, recording: Recording, leads: list[int]) -> None:
    body = orjson.loads(matrix(recording))
    signal = [recording.signal[place].astype(float).tolist() for place in leads]
    body |= {"ecg_signal": signal, "leads": [LEADS[place] for place in leads], "patient_age": 74.3}
    assert post_matrix(service, orjson.dumps(body)).status_code == 200


def by_hook(service: Service, recording: Recording, leads: list[int]) -> None:
    body = orjson.loads(hook_call(recording, f"H-{uuid4().hex[:8]}"))
    (entry,) = body["prefetch"]["ecgs"]["entry"]
    entry["resource"]["component"] = [entry["resource"]["component"][place] for place in leads]
    answer = httpx.post(f"{service.url}/cds-services/ecg-patient-view", json=body, timeout=20)
    assert answer.status_code == 200, answer.text


DOORS = {"fhir": by_fhir, "mllp": by_mllp, "predict": by_predict, "cds-hooks": by_hook}
TWELVE = list(range(12))
# Between the steps that a rendered ECG is stored in.
FINE = (ecg().signal * np.float32(1.0371) + np.float32(1.23e-6)).astype(np.float32)


@pytest.mark.parametrize(
    ("door", "leads", "changed", "taken_from"),
    [
        ("fhir", TWELVE, {}, STORED),
        ("fhir", EIGHT, {}, STORED),
        ("mllp", TWELVE, {}, STORED),
        ("mllp", EIGHT, {}, CALCULATED),
        ("mllp", TWELVE, {"signal": FINE}, RECEIVED),
        ("predict", TWELVE, {}, STORED),
        ("predict", EIGHT, {}, CALCULATED),
        ("predict", TWELVE, {"signal": FINE}, RECEIVED),
        ("cds-hooks", TWELVE, {}, STORED),
        ("cds-hooks", EIGHT, {}, STORED),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_an_analysis_is_made_again_to_the_bit_whichever_door_it_came_by(
    either: Service, door: str, leads: list[int], changed: dict[str, Any], taken_from: str
) -> None:
    DOORS[door](either, ecg(**changed), leads)
    report = replay(either, newest(either, door))
    assert report["differences"] == []
    assert (report["verdict"], report["door"]) == ("identical", door)
    assert report["signal"] == {"from": taken_from, "same_as_analysed": True}
    assert report["findings"] == []


def test_after_a_correction_each_analysis_is_made_again_from_its_own_version(either: Service) -> None:
    first = post_observation(either, observation(ecg())).json()
    before = newest(either, "fhir")
    corrected = orjson.loads(observation(ecg(signal=-ecg().signal))) | {"id": first["id"]}
    url = f"{either.url}/fhir/Observation/{first['id']}"
    put = httpx.put(url, json=corrected, headers={"Content-Type": FHIR_JSON}, timeout=20)
    assert put.status_code == 200, put.text
    versions = []
    for analysis in (before, newest(either, "fhir")):
        report = replay(either, analysis)
        assert (report["verdict"], report["signal"]["same_as_analysed"]) == ("identical", True)
        versions.append(report["ecg"])
    assert versions == [f"Observation/{first['id']}/_history/{version}" for version in (1, 2)]


def test_a_period_is_exported_beside_the_running_service_and_verified_without_it(
    either: Service, tmp_path: Path
) -> None:
    begin = datetime.now(UTC)
    by_predict(either, ecg(), TWELVE)
    end = datetime.now(UTC) + timedelta(seconds=1)
    file = tmp_path / "period.zip"
    words = ("audit", "export", "--from", begin.isoformat(), "--to", end.isoformat(), "-o", str(file))
    exported = command(*words, folder=either.folder, database_url=either.database)
    assert exported.returncode == 0, exported.stderr
    checked = command("audit", "check-export", str(file), "--json", folder=tmp_path, database_url="sqlite:///absent.db")
    found = json.loads(checked.stdout)
    assert (checked.returncode, found["problems"]) == (0, [])
    assert found["entries"] >= 1
    assert re.search(rf"SHA-256 of manifest.json: {found['manifest_sha256']}", exported.stdout)


def test_retention_beside_the_running_service_finds_nothing_old_and_says_so(either: Service) -> None:
    words = ("audit", "retain", "--older-than", "3650d", "--items-older-than", "365d", "--json")
    done = command(*words, folder=either.folder, database_url=either.database)
    report = json.loads(done.stdout)
    assert (done.returncode, report["transactions"]) == (0, 0)
    assert report["expired"] == {"payloads": 0, "payload_bytes": 0, "items": 0, "item_bytes": 0}
