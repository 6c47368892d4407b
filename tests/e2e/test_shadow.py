"""A second model beside the one that serves, in the real service on both databases: it sees what came by every door,
and nobody else sees anything of it."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import onnx
import orjson
import pytest
from onnx import TensorProto, helper

from audit.shadow_records import ShadowRow
from inference.artifact import ONNX_FILE, find_model
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.prepare import MODEL_SAMPLES
from inference.recording import LEADS
from interop.client import hook_call, observation_to_send
from tests.conftest import ROOT
from tests.e2e.conftest import Service, command, running
from tests.e2e.doors import (
    FHIR_JSON,
    counted,
    ecg,
    eventually,
    flat,
    matrix,
    message,
    observation,
    post_matrix,
    post_observation,
    send,
)
from tests.releases import change_card, point, release

pytestmark = pytest.mark.slow

NAME, VERSION = "quiet-candidate", "9.8.7"
HOOK = "/cds-services/ecg-patient-view"
COMPARED = "ecg_shadow_analyses_total"


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped release under another name, with thresholds that no probability reaches."""
    folder = tmp_path_factory.mktemp("models") / NAME / VERSION
    shutil.copytree(find_model(ROOT / "models"), folder)
    change_card(folder, name=NAME, version=VERSION, thresholds={c.value: 0.9999 for c in Superclass})
    return folder


def by_every_door(service: Service) -> list[str]:
    """An ECG by each; gives the ids of their analyses."""
    before = set(analyses(service))
    assert post_matrix(service, matrix()).status_code == 200
    assert post_observation(service, observation()).status_code == 201
    (answer,) = send(service.mllp, message())
    assert b"MSA|AA|" in answer
    called = httpx.post(
        f"{service.url}{HOOK}", content=hook_call(ecg(), uuid4().hex), headers={"Content-Type": "application/json"}
    )
    assert called.status_code == 200, called.text
    made = [name for name in analyses(service) if name not in before]
    assert len(made) == 4
    return made


def analyses(service: Service) -> list[str]:
    with service.store() as store, store.reader() as reader:
        return [row.id for row in reader.observed.newest(10_000, ecg().recorded_at.replace(year=2100))]  # type: ignore[union-attr]


def said(service: Service, names: Sequence[str]) -> list[ShadowRow]:
    """What the model in shadow mode said of these analyses."""
    with service.store() as store, store.reader() as reader:
        found = [reader.shadows.of(name) for name in names]
    assert None not in found
    return [one for one in found if one is not None]


def outcomes(service: Service, outcome: str) -> float:
    return counted(service, COMPARED, outcome=outcome)


def test_what_comes_by_every_door_is_compared_reported_and_served_also_after_a_kill(
    own_database: str, tmp_path: Path, candidate: Path
) -> None:
    settings = {"database_url": own_database, "shadow_model": str(candidate)}
    with running(tmp_path, **settings) as service:
        assert httpx.get(f"{service.url}/monitoring/shadow").status_code == 404
        made = by_every_door(service)
        assert post_matrix(service, matrix(flat())).status_code == 422
        assert eventually(lambda: outcomes(service, "compared") == 4)
        for row in said(service, made):
            assert (row.model_name, row.model_version, row.decided, row.urgency) == (NAME, VERSION, [], "routine")
            assert row.milliseconds > 0
        assert counted(service, "ecg_shadow_seconds") == 4
        assert counted(service, "ecg_shadow_model_info", name=NAME, version=VERSION) == 1
        service.kill()
    with running(tmp_path, **settings) as service:
        for _ in range(20):
            assert post_matrix(service, matrix()).status_code == 200
        assert eventually(lambda: outcomes(service, "compared") == 20)
        assert service.stop() == 0
    with running(tmp_path, **settings) as service:
        done = command("monitor", "shadow", "--json", folder=tmp_path, database_url=own_database)
        assert done.returncode == 0, done.stderr
        report = httpx.get(f"{service.url}/monitoring/shadow").json()
        assert report == json.loads(done.stdout)
        assert (report["shadow"]["name"], report["shadow"]["version"], report["analyses"]) == (NAME, VERSION, 24)
        assert (report["compared"]["rate"], report["modes"], report["stale"]) == (1.0, {"live": 24}, False)
        assert (report["urgent"]["served"]["rate"], report["urgent"]["shadow"]["rate"]) == (1.0, 0.0)
        assert report["classes"]["MI"]["probability_apart"]["max"] < 0.2, "the same weights, perhaps in other precision"
        assert report["flag"]
        assert eventually(lambda: counted(service, "ecg_monitoring_flag", kind="shadow") == 1)
        (alert,) = httpx.get(f"{service.url}/monitoring/alerts").json()["alerts"]
        assert (alert["key"], alert["severity"]) == ("shadow:urgent", "info")
    verified = command("audit", "verify", folder=tmp_path, database_url=own_database)
    assert verified.returncode == 0, verified.stdout + verified.stderr


# What differs from one run to the next, in the order in which it is taken out.
CHANGING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r'"latency_ms":[0-9.e-]+', "LATENCY"),
    (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[.0-9]*(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", "TIME"),
    (r"20\d{12}(\.\d+)?([+-]\d{4})?", "TIME"),
    (r"\|[0-9A-Z]{20}\|", "|ID|"),
    (r"Recorded \d+ \w+ ago", "AGE"),
)


def everything_told(folder: Path, **settings: str) -> list[str]:
    """What a service says and stores of the same ECGs by every door, without what is never the same twice."""
    folder.mkdir()
    recording = ecg()
    order = {"control_id": "C1", "patient_id": "P1", "placer_order_number": "O1"}
    with running(folder, outbound_mllp="127.0.0.1:1", **settings) as service:
        told = [
            post_matrix(service, matrix(recording)).content,
            post_observation(service, observation_to_send(recording, "P3")).content,
            send(service.mllp, message(recording, **order))[0],
            httpx.post(
                f"{service.url}{HOOK}", content=hook_call(recording, "P2"), headers={"Content-Type": "application/json"}
            ).content,
            *(
                httpx.get(f"{service.url}/fhir/{kind}?_count=50", headers={"Accept": FHIR_JSON}).content
                for kind in ("DiagnosticReport", "ServiceRequest", "Observation", "Device", "Provenance")
            ),
            *(httpx.get(f"{service.url}{path}").content for path in ("/ready", "/cds-services", "/fhir/metadata")),
        ]
        if "shadow_model" in settings:
            assert eventually(lambda: outcomes(service, "compared") == 4)
        with service.store() as store, store.reader() as reader:
            told += [row.content for row in reader.outbox.list(None, 99)]
        # Its digests differ each time. Auditors, and nobody else, are told with what the service started.
        trail = httpx.get(f"{service.url}/fhir/AuditEvent?_count=50").json()["entry"]
        assert sum(NAME in json.dumps(one) for one in trail) == int("shadow_model" in settings)
        assert "defect" not in service.log
        url = service.url
    return [as_ever(one.decode().replace(url, "URL")) for one in told]


def as_ever(text: str) -> str:
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return text


def test_nothing_that_anybody_is_told_or_sent_differs_by_it(tmp_path: Path, candidate: Path) -> None:
    alone = everything_told(tmp_path / "alone")
    beside = everything_told(tmp_path / "beside", shadow_model=str(candidate))
    for one, other in zip(alone, beside, strict=True):
        assert sorted(one.split(",")) == sorted(other.split(","))
    assert not [one for one in beside if NAME in one or VERSION in one]


def test_a_burst_that_is_too_long_is_sampled_and_the_rest_is_counted(tmp_path: Path) -> None:
    """One Bundle of 100 ECGs: they are stored together, so that they come to the queue together."""
    models = tmp_path / "models"
    beside = release(models, "2.0.0", name="other", mi=0.1)
    release(models, "1.0.0", mi=0.9)
    point(models, "fixed/1.0.0")
    entry = [
        {"resource": orjson.loads(observation()), "request": {"method": "POST", "url": "Observation"}}
        for _ in range(100)
    ]
    bundle = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entry})
    settings = {"model": str(models), "shadow_model": str(beside), "http_max_bytes": str(2 * len(bundle))}
    with running(tmp_path, **settings) as service:
        answer = httpx.post(f"{service.url}/fhir", content=bundle, headers={"Content-Type": FHIR_JSON}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert outcomes(service, "dropped") == 100 - 64
        assert eventually(lambda: outcomes(service, "compared") == 64)
        assert service.log.count("shadow mode is behind") == 1
        assert service.stop() == 0
    done = command("monitor", "shadow", "--json", folder=tmp_path)
    report = json.loads(done.stdout)
    assert (report["analyses"], report["overreads"]["n"]) == (64, 0)
    assert 64 <= report["compared"]["n"] <= 100  # those that were analysed from the first that was compared on


def test_a_model_that_fails_with_every_ecg_touches_no_answer(tmp_path: Path) -> None:
    models = tmp_path / "models"
    beside = release(models, "2.0.0", name="other")
    content = graph_that_reads_only_silence().SerializeToString()
    (beside / ONNX_FILE).write_bytes(content)
    change_card(beside, files={ONNX_FILE: hashlib.sha256(content).hexdigest()})
    with running(tmp_path, shadow_model=str(beside)) as service:
        made = by_every_door(service)
        assert eventually(lambda: outcomes(service, "failed") == 4)
        assert outcomes(service, "compared") == 0
        with service.store() as store, store.reader() as reader:
            assert [reader.shadows.of(name) for name in made] == [None] * 4
        assert httpx.get(f"{service.url}/ready").status_code == 200
        lines = [json.loads(line) for line in service.log.splitlines() if "shadow mode failed" in line]
        assert {line["code"] for line in lines} == {"model-unavailable"}


def graph_that_reads_only_silence() -> onnx.ModelProto:
    """It looks into row 0 of a table for a signal of zeros, as at the warm-up, and into row 1, which is not there, for
    any other."""
    inputs = [
        helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["batch", len(LEADS), MODEL_SAMPLES]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(FEATURE_NAMES)]),
    ]
    nodes = [
        helper.make_node("Abs", ["signal"], ["size"]),
        helper.make_node("ReduceMax", ["size", "axes"], ["largest"], keepdims=0),
        helper.make_node("Sign", ["largest"], ["is_signal"]),
        helper.make_node("Cast", ["is_signal"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["probabilities"], axis=0),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("table", TensorProto.FLOAT, [1, len(Superclass)], [0.1] * len(Superclass)),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(Superclass)])]
    made = helper.make_graph(nodes, "silence", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def refused(folder: Path, **settings: str) -> str:
    """The one line with which `serve` ends."""
    done: subprocess.CompletedProcess[str] = command(
        "serve", "--http-port", "0", "--mllp-port", "0", folder=folder, **settings
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_model_that_cannot_be_compared_is_refused_at_start_by_name(tmp_path: Path) -> None:
    models = tmp_path / "models"
    beside = release(models, "2.0.0", name="other")
    assert "ECG_SHADOW_MODEL: " in refused(tmp_path, shadow_model=str(tmp_path / "nowhere"))
    card: dict[str, Any] = json.loads((beside / "card.json").read_text())
    change_card(beside, features={"version": "0", "names": []})
    line = refused(tmp_path, shadow_model=str(beside))
    assert "ECG_SHADOW_MODEL: " in line
    assert "trained with features 0" in line
    change_card(beside, **card)
    (beside / ONNX_FILE).write_bytes(b"another")
    line = refused(tmp_path, shadow_model=str(beside))
    assert "ECG_SHADOW_MODEL: " in line
    assert "SHA-256" in line


def test_one_that_was_promoted_meanwhile_is_warned_of_and_the_service_starts(tmp_path: Path) -> None:
    models = tmp_path / "models"
    release(models, "1.0.0", mi=0.9)
    beside = release(models, "1.1.0", mi=0.1)
    point(models, "fixed/1.0.0")
    settings = {"model": str(models), "shadow_model": str(beside)}
    with running(tmp_path, **settings) as service:
        assert post_matrix(service, matrix()).status_code == 200
        assert eventually(lambda: outcomes(service, "compared") == 1)
        point(models, "fixed/1.1.0")
        assert eventually(lambda: counted(service, "ecg_model_info", version="1.1.0") == 1)
        assert post_matrix(service, matrix()).status_code == 200
        assert outcomes(service, "same-model") == 1
        assert service.stop() == 0
    with running(tmp_path, **settings) as service:
        assert "ECG_SHADOW_MODEL is the one that serves: nothing is compared" in service.log
        assert post_matrix(service, matrix()).json()["model"]["version"] == "1.1.0"
        assert outcomes(service, "same-model") == 1


def test_silent_analyses_are_compared_too(tmp_path: Path, candidate: Path) -> None:
    with running(tmp_path, mode="silent", shadow_model=str(candidate)) as service:
        assert post_matrix(service, matrix()).status_code == 200
        assert eventually(lambda: outcomes(service, "compared") == 1)
    done = command("monitor", "shadow", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["modes"] == {"silent": 1}
