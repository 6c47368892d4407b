"""Traces (OpenTelemetry): how long each part of the way of a request or message took, and where it came from.

A trace is told nothing that the log is not: routes as templates, doors, our own ids, the model, error codes; never a
URL, a header or anything a sender wrote. Where traces go is said by OpenTelemetry's own environment variables. Without
`ECG_TRACING` the library is not loaded, and a span costs a call that does nothing.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import Any, Protocol

from inference.errors import ConfigurationError, EcgError, Fault
from interop.logs import correlation, trace_id

Attributes = Mapping[str, str | bool | int | float]
NOTHING: Attributes = {}

SERVICE = "ecg-interop"
FLUSH_SECONDS = 3.0  # at the end, for spans that a slow receiver has not taken yet


class Kind(StrEnum):
    """On which side of a call a span is (OpenTelemetry, SpanKind)."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(Protocol):
    """Something that takes time."""

    def set(self, attributes: Attributes) -> None:
        """Say more about it."""

    def rename(self, name: str) -> None:
        """Give it a better name."""

    def failed(self, error: str) -> None:
        """Mark it as failed on our side, with a code."""


class Tracing(Protocol):
    """Where spans come from."""

    def span(
        self,
        name: str,
        attributes: Attributes = NOTHING,
        *,
        kind: Kind = Kind.INTERNAL,
        carrier: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Span]:
        """A span as long as the block, below the one around it. carrier: headers of a caller who traces, too (W3C Trace
        Context)."""

    def close(self) -> None:
        """Send what is left."""


class _NoSpan:
    def set(self, attributes: Attributes) -> None:
        """Nothing is kept."""

    def rename(self, name: str) -> None:
        """Nothing is kept."""

    def failed(self, error: str) -> None:
        """Nothing is kept."""


class NoTracing:
    """Without `ECG_TRACING`."""

    _nothing = nullcontext(_NoSpan())

    def span(
        self,
        name: str,
        attributes: Attributes = NOTHING,
        *,
        kind: Kind = Kind.INTERNAL,
        carrier: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Span]:
        """Nothing is measured."""
        return self._nothing

    def close(self) -> None:
        """Nothing is left."""


NO_TRACING: Tracing = NoTracing()


def start_tracing(version: str) -> Tracing:
    """Spans, sent in batches by a thread of their own (OTLP over HTTP). version: of this software.

    A variable of theirs that cannot be used is warned of and passed over. Raises ConfigurationError where the libraries
    are missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError("ECG_TRACING needs OpenTelemetry: pip install '.[trace]'") from error
    described = {"service.name": SERVICE, "service.version": version, "service.instance.id": socket.gethostname()}
    provider = TracerProvider(resource=Resource.create(described), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)


class _OpenSpan:
    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def failed(self, error: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR)
        self._span.set_attribute("error.type", error)


class OpenTelemetry:
    """Spans of OpenTelemetry's SDK. provider: its `TracerProvider`."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE)
        self._extract = TraceContextTextMapPropagator().extract

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes = NOTHING,
        *,
        kind: Kind = Kind.INTERNAL,
        carrier: Mapping[str, str] | None = None,
    ) -> Iterator[Span]:
        """A span, an internal one only as a part of another. An error that leaves the block marks it by its code, and
        one of ours as failed."""
        from opentelemetry.trace import SpanKind, get_current_span

        if kind is Kind.INTERNAL and not get_current_span().get_span_context().is_valid:
            yield _NoSpan()  # the service looks after itself: a query for a gauge every few seconds is no trace
            return
        started = self._tracer.start_as_current_span(
            name,
            context=self._extract(carrier) if carrier is not None else None,
            kind=SpanKind[kind.name],
            attributes={**attributes, "ecg.correlation_id": correlation.get()},
            # An exception's text may quote what a sender wrote.
            record_exception=False,
            set_status_on_exception=False,
        )
        with started as current:
            token = trace_id.set(f"{current.get_span_context().trace_id:032x}")
            span = _OpenSpan(current)
            try:
                yield span
            except EcgError as error:
                span.set({"error.type": error.code})
                if error.fault is not Fault.SENDER:
                    span.failed(error.code)
                raise
            except Exception as error:
                span.failed(type(error).__name__)
                raise
            finally:
                trace_id.reset(token)

    def close(self) -> None:
        """Send what is left, and stop the thread."""
        self._provider.force_flush(int(1000 * FLUSH_SECONDS))
        self._provider.shutdown()
