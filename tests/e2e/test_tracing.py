"""Traces of the real service, as a receiver of OTLP over HTTP gets them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.e2e.conftest import Service, running
from tests.e2e.doors import FHIR_JSON, ecg, message, observation
from tests.e2e.faults import free_port, receiving
from tests.e2e.traffic import connected

pytestmark = pytest.mark.slow

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ARRIVE_SECONDS = 20.0


@dataclass
class Collector:
    """Keeps what it is sent."""

    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        requests = (ExportTraceServiceRequest.FromString(body) for body in list(self.bodies))
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, *names: str) -> dict[str, Span]:
        deadline = monotonic() + ARRIVE_SECONDS
        while not set(names) <= {span.name for span in self.spans} and monotonic() < deadline:
            sleep(0.05)
        return {span.name: span for span in self.spans}


@contextmanager
def collecting() -> Iterator[tuple[str, Collector]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Service, Collector]]:
    """A service that sends its traces, and its results to a receiver."""
    port = free_port()
    with collecting() as (endpoint, collector), receiving(port):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with running(tmp_path, tracing="true", outbound_mllp=f"127.0.0.1:{port}") as service:
            yield service, collector


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_request_and_its_parts_are_spans_below_that_of_the_caller(traced: tuple[Service, Collector]) -> None:
    service, collector = traced
    headers = {"Content-Type": FHIR_JSON, "traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "r-1"}
    answer = httpx.post(f"{service.url}/fhir/Observation", content=observation(), headers=headers)
    assert answer.status_code == 201
    spans = collector.wait_for("POST /fhir/Observation", "decode", "analyze", "store")
    request = spans["POST /fhir/Observation"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER
    found = attributes(request)
    assert (found["http.route"], found["http.response.status_code"]) == ("/fhir/Observation", 201)
    assert found["ecg.correlation_id"] == "r-1"
    for name in ("analyze", "store"):
        part = spans[name]
        assert (part.trace_id.hex(), part.parent_span_id) == (TRACE, request.span_id)
        assert request.start_time_unix_nano <= part.start_time_unix_nano <= part.end_time_unix_nano
        assert part.end_time_unix_nano <= request.end_time_unix_nano
    analysed = attributes(spans["analyze"])
    assert analysed["ecg.model.name"] == "resnet18-ptbxl"
    assert {"ecg.stage.quality_seconds", "ecg.stage.classify_seconds"} <= set(analysed)
    assert f'"trace_id":"{TRACE}"' in service.log


def test_a_message_and_its_delivery_are_spans(traced: tuple[Service, Collector]) -> None:
    service, collector = traced
    with connected(service.mllp) as sender:
        assert b"MSA|AA" in sender.exchange(message())[0]
    spans = collector.wait_for("MLLP ORU", "deliver")
    assert spans["analyze"].trace_id == spans["MLLP ORU"].trace_id
    assert spans["MLLP ORU"].kind == Span.SPAN_KIND_SERVER
    assert spans["deliver"].kind == Span.SPAN_KIND_CLIENT
    assert attributes(spans["deliver"])["ecg.analysis_id"] == attributes(spans["analyze"])["ecg.analysis_id"]


def test_nothing_that_a_sender_wrote_is_in_a_trace(traced: tuple[Service, Collector]) -> None:
    service, collector = traced
    with connected(service.mllp) as sender:
        sender.exchange(message(ecg(), patient_id="SECRETPID", control_id="SECRETMSH10"))
        sender.exchange(message(patient_id="SECRETPID").replace(b"ORU^R01", b"SECRET^X"))
    httpx.get(f"{service.url}/fhir/Observation?patient=SECRETPID&identifier=SECRET")
    httpx.get(f"{service.url}/fhir/Observation/SECRETID")
    httpx.get(f"{service.url}/SECRETPATH")
    httpx.post(f"{service.url}/predict", json={"ecg_signal": "SECRET"})
    collector.wait_for("MLLP", "MLLP ORU", "GET /fhir/Observation", "GET unrouted", "POST /predict")
    assert len(collector.spans) > 8
    assert not [body for body in collector.bodies if b"SECRET" in body]


def test_probes_are_no_spans_and_an_error_of_ours_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as (endpoint, collector):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        with running(tmp_path, tracing="true") as service:
            for probe in ("health", "ready", "metrics"):
                assert httpx.get(f"{service.url}/{probe}").status_code == 200
            assert httpx.get(f"{service.url}/fhir/Observation/none").status_code == 404
            assert service.stop() == 0  # what was not sent yet is sent at the end
        names = {span.name for span in collector.spans}
        assert "GET /fhir/{type_}/{id}" in names or any(name.startswith("GET /fhir") for name in names)
        assert not [name for name in names if "health" in name or "ready" in name or "metrics" in name]
        assert {span.status.code for span in collector.spans} == {Status.STATUS_CODE_UNSET}


def test_without_a_receiver_the_service_goes_on_and_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with running(tmp_path, tracing="true") as service:
        with connected(service.mllp) as sender:
            assert b"MSA|AA" in sender.exchange(message())[0]
        started = monotonic()
        assert service.stop() == 0
        assert monotonic() - started < 15
