"""What happens around every HTTP request, as plain ASGI: an id, a clock, a limit on the body, a net below."""

import logging
import re
import time
from collections.abc import Callable

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference.errors import EcgError, InternalError, TooLarge
from interop.logs import correlation, new_correlation_id
from interop.metrics import Metrics
from interop.telemetry import Kind, Tracing

log = logging.getLogger(__name__)

CORRELATION_HEADER = "x-request-id"
# What may go into a log line and back into a header; anything else is replaced by an id of ours.
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNROUTED = "unrouted"
# What a client may invent as a method must not become a label.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Probes ask these every few seconds.
PROBED = frozenset({"/health", "/ready", "/metrics"})

Render = Callable[[Scope, EcgError], Response]


class CorrelationId:
    """Takes the caller's `X-Request-Id`, or makes one; every log line and the answer carry it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(CORRELATION_HEADER, "")
        identity = given if SAFE_ID.fullmatch(given) else new_correlation_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[CORRELATION_HEADER] = identity
            await send(message)

        token = correlation.set(identity)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            correlation.reset(token)


class RequestMetrics:
    """Counts, times and logs requests by route template: a URL itself may name a patient."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", UNROUTED)
            method = scope["method"] if scope["method"] in METHODS else "other"
            seconds = time.perf_counter() - started
            self._metrics.http(method, route, status, seconds)
            fields = {"method": method, "route": route, "status": status, "milliseconds": round(1000 * seconds, 1)}
            log.log(logging.DEBUG if route in PROBED else logging.INFO, "request", extra=fields)


class Traced:
    """A span for each request but probes, named by route template; below that of a caller who traces, too."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the span around the request."""
        if scope["type"] != "http" or scope["path"] in PROBED:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "other"
        with self._tracing.span(method, kind=Kind.SERVER, carrier=Headers(scope=scope)) as span:

            async def send_noting_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set({"http.response.status_code": message["status"]})
                    if message["status"] >= 500:
                        span.failed(str(message["status"]))
                await send(message)

            try:
                await self._app(scope, receive, send_noting_status)
            finally:
                route = getattr(scope.get("route"), "path", UNROUTED)
                span.rename(f"{method} {route}")
                span.set({"http.request.method": method, "http.route": route})


class SafetyNet:
    """Answers an error that nobody expected: the caller gets the correlation id, the log gets type and place."""

    def __init__(self, app: ASGIApp, render: Render) -> None:
        self._app = app
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what was not expected."""
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noting_start)
        except Exception as error:
            if started or scope["type"] != "http":
                raise  # half an answer is out already: the server has to cut the connection
            log.exception("unexpected error")
            defect = error if isinstance(error, EcgError) else InternalError("an unexpected error, which we logged")
            await self._render(scope, defect)(scope, receive, send)


class BodyLimit:
    """Refuses a body over the limit: at once where its length is declared, else as soon as it has grown too large."""

    def __init__(self, app: ASGIApp, limit: int, render: Render) -> None:
        self._app = app
        self._limit = limit
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            await self._render(scope, self._too_large())(scope, receive, send)
            return
        size = 0

        async def receive_counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            return message

        await self._app(scope, receive_counting, send)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is over {self._limit} bytes; the operator can raise ECG_HTTP_MAX_BYTES")
