"""`make run`: the service as a process of its own, and two clients that use it as a hospital's systems would."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from inference.errors import ConfigurationError, ServiceError
from inference.formats import read
from inference.recording import Recording, Sex
from interop import client
from interop.bootstrap import new_id, now
from interop.commands.console import out
from interop.hl7.waveform import to_oru
from interop.pages.routes import page_path
from interop.settings import Settings

EXAMPLES = Path("examples")
STOP_SECONDS = 25  # a little more than the service takes to drain


def run(settings: Settings, *, once: bool) -> None:
    """Start the service, send two ECGs, print what comes back, and keep serving until Ctrl-C unless `once`.

    Raises ConfigurationError when the examples are missing, ServiceError when the service does not start or refuses.
    """
    normal, infarction = _example("00010_hr", 22, Sex.FEMALE), _example("00184_hr", 74, Sex.MALE)
    with _service(settings) as (process, ready):
        _introduce(settings, ready)
        try:
            with httpx.Client(base_url=ready["http"], timeout=30) as http:
                report = _by_fhir(http, infarction)
                _by_mllp(http, ready["mllp"], normal)
        except httpx.HTTPError as error:
            raise ServiceError(f"{type(error).__name__}: {error}") from error
        _farewell(ready, report)
        if not once:
            out.print("Serving until Ctrl-C.")
            _wait(process)


def _example(name: str, age: float, sex: Sex) -> Recording:
    file = EXAMPLES / f"{name}.hea"
    if not file.exists():
        raise ConfigurationError(f"{file} is missing: run this in the project's folder")
    # PTB-XL shifts its dates; an acute recommendation needs a recent ECG, so these count as just recorded.
    return replace(read(file), age=age, sex=sex, recorded_at=now())


@contextmanager
def _service(settings: Settings) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    log_file = Path("var/serve.log")
    log_file.parent.mkdir(exist_ok=True)
    arguments = [
        "--host",
        settings.host,
        "--http-port",
        str(settings.http_port),
        "--mllp-port",
        str(settings.mllp_port),
    ]
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "interop.cli", "serve", *arguments],
            stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ,
        )  # fmt: skip
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                process.wait()
                raise ServiceError(log_file.read_text().strip() or "the service did not start")
            yield process, json.loads(line)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[str]) -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        out.print("Draining.")


def _introduce(settings: Settings, ready: dict[str, Any]) -> None:
    out.rule("ECG Clinical Action Recommender")
    out.print("Not a medical device: no clearance, no CE mark. Research and evaluation only.\n")
    out.print(f"HTTP   {ready['http']}\nMLLP   {ready['mllp']}\nmodel  {ready['model']} ({ready['model_status']})")
    if ready["model_status"] == "candidate":
        out.print("       has not passed the promotion gate; it may speak here because ECG_ALLOW_CANDIDATE=true")
    out.print(f"mode   {ready['mode']}")
    out.print(f"store  {settings.model_dump(mode='json')['database_url'] or 'sqlite'}\n", markup=False)


def _by_fhir(http: httpx.Client, recording: Recording) -> str:
    """Gives the id of the report."""
    out.rule("1. FHIR: PTB-XL recording 184, posted as an Observation", align="left")
    content = client.observation_to_send(recording, f"DEMO-{new_id().hex[-8:]}")
    response = http.post("/fhir/Observation", content=content, headers={"Content-Type": "application/fhir+json"})
    _require(response)
    location = response.headers["Location"]
    out.print(f"201 Created, {len(content) // 1000} KB, {response.elapsed.total_seconds() * 1000:.0f} ms")
    out.print(f"Location {location}\n", markup=False)
    observation = "/".join(location.split("/_history")[0].split("/")[-2:])
    return _show_report(http, {"result": observation})


def _by_mllp(http: httpx.Client, address: str, recording: Recording) -> None:
    out.rule("2. HL7 v2: PTB-XL recording 10, sent as ORU^R01 over MLLP", align="left")
    order, patient = f"ORD-{new_id().hex[-8:]}", f"DEMO-{new_id().hex[-8:]}"
    message = to_oru(
        recording, control_id=new_id().hex[-20:], sent_at=now(), patient_id=patient, placer_order_number=order
    )
    answer = client.send_message(address, message)
    out.print(answer.text, markup=False)
    if not answer.accepted:
        raise ServiceError("the message was not accepted")
    out.print()
    _show_report(http, {"identifier": order})


def _show_report(http: httpx.Client, query: dict[str, str]) -> str:
    found = _json(http, "/fhir/DiagnosticReport", query)
    if found.get("total") != 1:
        raise ServiceError(f"one DiagnosticReport was expected, {found.get('total')} were found")
    report = found["entry"][0]["resource"]
    out.print(f"DiagnosticReport/{report['id']} ({report['status']})", markup=False)
    out.print(f"  {report['conclusion']}\n", markup=False)
    subject = report["subject"].get("reference")
    identifier = report["subject"].get("identifier", {})
    by = {"subject": subject} if subject else {
        "subject:identifier": f"{identifier.get('system', '')}|{identifier['value']}"
    }  # fmt: skip
    requests = _json(http, "/fhir/ServiceRequest", by).get("entry", [])
    out.print("Proposed actions (ServiceRequest, intent proposal):" if requests else "No action is proposed.")
    for entry in sorted(requests, key=lambda e: ("stat", "urgent", "routine").index(e["resource"]["priority"])):
        request = entry["resource"]
        out.print(f"  {request['priority']:<8} {request['code']['text']}", markup=False)
    out.print()
    return str(report["id"])


def _json(http: httpx.Client, path: str, query: dict[str, str]) -> dict[str, Any]:
    response = http.get(path, params=query)
    _require(response)
    found: dict[str, Any] = response.json()
    return found


def _require(response: httpx.Response) -> None:
    if response.is_error:
        raise ServiceError(f"{response.request.url.path} answered {response.status_code}: {response.text[:500]}")


def _farewell(ready: dict[str, Any], report: str) -> None:
    out.rule("Where to look next", align="left")
    out.print("  The infarction with its tracing, as a clinician sees it:")
    out.print(f"  {ready['http']}{page_path(report)}", markup=False)
    for path, what in (
        ("/docs", "the REST interface, to try out"),
        ("/fhir/metadata", "what the FHIR facade can do"),
        ("/cds-services", "the CDS Hooks services"),
        ("/fhir/DiagnosticReport?_count=5", "the newest reports"),
        ("/monitoring", "what live results say of the model"),
        ("/metrics", "for Prometheus"),
    ):
        out.print(f"  {ready['http']}{path:<34} {what}")
    out.print("  .venv/bin/ecg-interop inbox list | audit verify | outbox list")
    out.print("  README.md shows how to connect an EHR or a device.\n")
