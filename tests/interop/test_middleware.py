import logging
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Scope

from inference.errors import EcgError
from interop.logs import correlation
from interop.metrics import Metrics
from interop.middleware import BodyLimit, CorrelationId, RequestMetrics, SafetyNet
from tests.interop.client import Client

LIMIT = 100


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{correlation.get()} {len(await request.body())}")


async def failing(request: Request) -> Response:
    raise KeyError("Muster^Erika")


async def half(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        raise KeyError("second")

    return StreamingResponse(parts())


def render(scope: Scope, error: EcgError) -> Response:
    return PlainTextResponse(f"{error.code} {correlation.get()}", 599)


METRICS = Metrics()


@pytest.fixture(scope="module")
def client() -> Client:
    app = Starlette(
        routes=[
            Route("/echo/{id}", echo, methods=["GET", "POST"]),
            Route("/failing", failing),
            Route("/half", half),
        ],
        middleware=[
            Middleware(CorrelationId),
            Middleware(RequestMetrics, metrics=METRICS),
            Middleware(SafetyNet, render=render),
            Middleware(BodyLimit, limit=LIMIT, render=render),
        ],
    )
    return Client(app)


def test_the_callers_id_comes_back_and_is_known_inside(client: Client) -> None:
    answer = client.get("/echo/1", headers={"X-Request-Id": "ehr-42"})
    assert answer.headers["x-request-id"] == "ehr-42"
    assert answer.text.startswith("ehr-42 ")


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "Müller".encode("latin-1").decode("latin-1")])
def test_an_unsafe_id_is_replaced(client: Client, given: str) -> None:
    answer = client.get("/echo/1", headers={"X-Request-Id": given.encode("latin-1")})
    assert answer.headers["x-request-id"] != given
    assert answer.headers["x-request-id"].isalnum()


def test_every_request_gets_an_id_of_its_own(client: Client) -> None:
    ids = {client.get("/echo/1").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_body_up_to_the_limit_is_taken(client: Client) -> None:
    assert client.post("/echo/1", content=b"x" * LIMIT).text.endswith(f" {LIMIT}")


def test_a_declared_body_over_the_limit_is_refused_unread(client: Client) -> None:
    answer = client.post("/echo/1", content=b"x" * (LIMIT + 1))
    assert answer.text.startswith("too-large")


def test_a_chunked_body_is_refused_once_it_has_grown_too_large(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 40

    answer = client.post("/echo/1", content=chunks())
    assert answer.text.startswith("too-large")


def test_an_unexpected_error_is_answered_with_the_id_and_logged_without_its_text(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get("/failing", headers={"X-Request-Id": "ehr-43"})
    assert (answer.status_code, answer.text) == (599, "internal ehr-43")
    assert caplog.messages == ["unexpected error"]


def test_an_error_after_half_an_answer_cuts_the_connection(client: Client) -> None:
    with pytest.raises(KeyError):
        client.get("/half")


def test_requests_are_counted_by_method_and_status(client: Client) -> None:
    client.get("/nowhere/Patient-4711")
    client.request("BREW", "/echo/1")
    text = METRICS.exposition()[0].decode()
    assert 'ecg_http_requests_total{method="GET",route="unrouted",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert "BREW" not in text
    assert "4711" not in text


def test_requests_are_logged_by_route_and_never_by_url(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "interop.middleware"):
        client.get("/nowhere/Patient-4711?name=Muster")
    (record,) = [record for record in caplog.records if record.msg == "request"]
    fields = vars(record)
    assert (fields["method"], fields["route"], fields["status"]) == ("GET", "unrouted", 404)
    assert fields["milliseconds"] >= 0
    assert "4711" not in str(fields)
    assert "Muster" not in str(fields)
