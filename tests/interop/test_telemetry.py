import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from inference.errors import ConfigurationError, NotFound, StorageUnavailable
from interop.logs import correlation, trace_id
from interop.telemetry import NO_TRACING, Kind, OpenTelemetry, start_tracing

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(kept: InMemorySpanExporter) -> OpenTelemetry:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return OpenTelemetry(provider)


def only(kept: InMemorySpanExporter) -> ReadableSpan:
    (span,) = kept.get_finished_spans()
    return span


def test_without_tracing_a_span_is_nothing() -> None:
    with NO_TRACING.span("a", {"b": 1}, kind=Kind.SERVER, carrier=PARENT) as span:
        span.set({"c": 2})
        span.rename("d")
        span.failed("e")
        assert trace_id.get() is None
    NO_TRACING.close()


def test_a_span_is_below_that_of_the_caller_and_the_log_names_its_trace(
    tracing: OpenTelemetry, kept: InMemorySpanExporter
) -> None:
    token = correlation.set("c-1")
    with tracing.span("a", {"b": 1}, kind=Kind.SERVER, carrier=PARENT) as span:
        assert trace_id.get() == PARENT["traceparent"].split("-")[1]
        span.rename("better")
        span.set({"c": True})
    correlation.reset(token)
    assert trace_id.get() is None
    found = only(kept)
    assert (found.name, found.kind, found.status.status_code) == ("better", SpanKind.SERVER, StatusCode.UNSET)
    assert dict(found.attributes or {}) == {"b": 1, "c": True, "ecg.correlation_id": "c-1"}
    assert found.parent is not None
    assert f"{found.parent.span_id:016x}" == PARENT["traceparent"].split("-")[2]


@pytest.mark.parametrize("header", ["", "00-0-0-00", "SECRET"])
def test_a_header_that_cannot_be_read_begins_a_new_trace(
    tracing: OpenTelemetry, kept: InMemorySpanExporter, header: str
) -> None:
    with tracing.span("a", kind=Kind.SERVER, carrier={"traceparent": header}):
        pass
    assert only(kept).parent is None


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NotFound("SECRET"), "not-found", StatusCode.UNSET),
        (StorageUnavailable("SECRET"), "storage-unavailable", StatusCode.ERROR),
        (KeyError("SECRET"), "KeyError", StatusCode.ERROR),
    ],
)
def test_an_error_is_there_by_its_code_and_only_ours_is_a_failure(
    tracing: OpenTelemetry, kept: InMemorySpanExporter, error: Exception, code: str, status: StatusCode
) -> None:
    with pytest.raises(type(error)), tracing.span("a", kind=Kind.SERVER):
        raise error
    found = only(kept)
    assert (found.attributes or {})["error.type"] == code
    assert (found.status.status_code, found.events) == (status, ())
    assert "SECRET" not in found.to_json()


def test_a_part_of_nothing_is_no_span(tracing: OpenTelemetry, kept: InMemorySpanExporter) -> None:
    """What the service reads for its gauges would be most of what is sent."""
    with tracing.span("read") as alone:
        alone.set({"a": 1})
    with tracing.span("request", kind=Kind.SERVER), tracing.span("read"):
        pass
    assert [span.name for span in kept.get_finished_spans()] == ["read", "request"]


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[trace\]'"):
        start_tracing("0")
