import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from inference.errors import EcgError
from interop.compression import INPUT_BYTES, PIECE_BYTES, Decompressed
from interop.errors import answer_to
from interop.metrics import Metrics
from interop.middleware import BodyLimit, CorrelationId, RequestMetrics, SafetyNet
from tests.interop.client import Client

LIMIT = 3 * PIECE_BYTES
ORIGIN = "https://ehr.example"
GZIPPED = {"Content-Encoding": "gzip"}
METRICS = Metrics()


async def echo(request: Request) -> Response:
    body = await request.body()
    seen = {name: request.headers.get(name) for name in ("content-encoding", "content-length")}
    return Response(body, headers={"X-Seen": json.dumps(seen), "ETag": 'W/"1"', "X-Size": str(len(body))})


async def large(request: Request) -> Response:
    return Response(b'{"resourceType":"Bundle"}' * 8000, headers={"ETag": 'W/"1"'}, media_type="application/fhir+json")


async def unchanged(request: Request) -> Response:
    return Response(b"", 304, headers={"ETag": 'W/"1"'})


def render(scope: Scope, error: EcgError) -> Response:
    return PlainTextResponse(f"{error.code}: {error.message}", answer_to(error).http_status)


def application(limit: int = LIMIT) -> Starlette:
    return Starlette(
        routes=[
            Route("/echo/{id}", echo, methods=["POST", "GET"]),
            Route("/large", large),
            Route("/unchanged", unchanged),
        ],
        middleware=[
            Middleware(CorrelationId),
            Middleware(RequestMetrics, metrics=METRICS),
            Middleware(
                CORSMiddleware,
                allow_origins=(ORIGIN,),
                allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
                allow_headers=("Authorization", "If-Match", "If-None-Exist", "Prefer", "X-Request-Id"),
                expose_headers=("ETag", "Link", "Location", "X-Request-Id"),
            ),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1),
            Middleware(SafetyNet, render=render),
            Middleware(BodyLimit, limit=limit, render=render),
            Middleware(Decompressed, limit=limit, render=render),
        ],
    )


CLIENT = Client(application())


def post(content: bytes, coding: str = "gzip", **headers: str) -> tuple[int, bytes]:
    answer = CLIENT.post("/echo/1", content=content, headers={"Content-Encoding": coding, **headers})
    return answer.status_code, answer.content


async def in_parts(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "identity, gzip"])
def test_the_application_reads_a_gzip_body_as_if_it_were_plain(coding: str) -> None:
    answer = CLIENT.post("/echo/1", content=gzip.compress(b'{"a": 1.50}'), headers={"Content-Encoding": coding})
    assert answer.content == b'{"a": 1.50}'
    assert json.loads(answer.headers["x-seen"]) == {"content-encoding": None, "content-length": None}


@pytest.mark.parametrize("coding", ["", "identity"])
def test_a_plain_body_passes_untouched(coding: str) -> None:
    answer = CLIENT.post("/echo/1", content=b"plain", headers={"Content-Encoding": coding})
    assert answer.content == b"plain"
    assert json.loads(answer.headers["x-seen"]) == {"content-encoding": coding, "content-length": "5"}


@pytest.mark.parametrize("coding", ["deflate", "zstd", "br", "gzip, gzip", "compress"])
def test_another_encoding_is_refused_with_the_one_that_is_taken(coding: str) -> None:
    answer = CLIENT.post("/echo/1", content=b"x", headers={"Content-Encoding": coding})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, identity"


def test_several_lines_of_the_header_count_together() -> None:
    headers = [("Content-Encoding", "gzip"), ("Content-Encoding", "br")]
    assert CLIENT.post("/echo/1", content=gzip.compress(b"x"), headers=headers).status_code == 415


def test_a_request_without_a_body_needs_no_stream() -> None:
    assert CLIENT.get("/echo/1", headers=GZIPPED).status_code == 200


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=3), st.data())
def test_any_members_cut_anywhere_are_inflated_to_what_they_were(bodies: list[bytes], data: st.DataObject) -> None:
    packed = b"".join(gzip.compress(body, data.draw(st.integers(0, 9))) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=4)))
    parts = [packed[start:end] for start, end in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    answer = CLIENT.post("/echo/1", content=in_parts(parts), headers=GZIPPED)
    assert (answer.status_code, answer.content) == (200, b"".join(bodies))


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_body_longer_than_one_piece_comes_whole(level: int) -> None:
    body = b"".join(b"%d," % (number * number) for number in range(70_000))[: LIMIT - 1]
    assert len(body) > 2 * PIECE_BYTES
    assert len(gzip.compress(body, 0)) > 2 * INPUT_BYTES
    answer = CLIENT.post("/echo/1", content=gzip.compress(body, level), headers=GZIPPED)
    assert int(answer.headers["x-size"]) == len(body)
    assert answer.content == body


def test_a_body_that_comes_byte_by_byte_comes_whole() -> None:
    body = bytes(2 * PIECE_BYTES + 5)
    packed = gzip.compress(body)
    answer = CLIENT.post(
        "/echo/1", content=in_parts([packed[at : at + 1] for at in range(len(packed))]), headers=GZIPPED
    )
    assert (answer.status_code, answer.content) == (200, body)


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert post(gzip.compress(bytes(LIMIT)))[0] == 200
    assert post(gzip.compress(bytes(LIMIT + 1)))[0] == 413


def test_a_bomb_is_refused_as_soon_as_it_is_over_the_limit() -> None:
    bomb = gzip.compress(bytes(200 * LIMIT), 9)
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        status, text = post(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status == 413
    assert b"ECG_HTTP_MAX_BYTES" in text
    assert peak < 8 * LIMIT


def test_what_comes_over_the_wire_has_the_same_limit() -> None:
    small = Client(application(limit=100))
    noise = gzip.compress(bytes(range(256)), 0)
    assert small.post("/echo/1", content=noise, headers=GZIPPED).text.startswith("too-large: the body is over 100")


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"x" * 99)[:-1], gzip.compress(b"x" * 99)[:12], gzip.compress(b"x") + b"rest", b"\x1f"],
    ids=["plain", "without its end", "half", "with a tail", "one byte"],
)
def test_a_broken_stream_is_malformed(content: bytes) -> None:
    status, text = post(content)
    assert status == 400
    assert text.startswith(b"malformed")


def test_a_wrong_checksum_is_malformed() -> None:
    packed = bytearray(gzip.compress(b"x" * 99))
    packed[-8] ^= 1
    assert post(bytes(packed))[0] == 400


def test_a_stream_that_ends_early_in_a_part_of_its_own_is_malformed() -> None:
    answer = CLIENT.post("/echo/1", content=in_parts([gzip.compress(b"x" * 99)[:-4], b""]), headers=GZIPPED)
    assert answer.status_code == 400


def test_a_compressed_request_is_counted_under_its_route() -> None:
    CLIENT.post("/echo/7", content=gzip.compress(b"x"), headers=GZIPPED)
    assert 'route="/echo/{id}",status="200"' in METRICS.exposition()[0].decode()


def test_a_large_answer_is_compressed_for_who_takes_it_under_the_same_weak_etag() -> None:
    plain = CLIENT.get("/large", headers={"Accept-Encoding": "identity"})
    packed = CLIENT.get("/large", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert packed.headers["etag"] == plain.headers["etag"] == 'W/"1"'
    assert "Accept-Encoding" in plain.headers["vary"]
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])


def test_an_empty_answer_stays_empty() -> None:
    answer = CLIENT.get("/unchanged", headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "content-encoding" not in answer.headers


def test_a_page_of_an_allowed_origin_may_read_every_answer_and_its_headers() -> None:
    headers = {"Origin": ORIGIN, "Accept-Encoding": "gzip"}
    for answer in (
        CLIENT.get("/large", headers=headers),
        CLIENT.get("/nowhere", headers=headers),
        CLIENT.post("/echo/1", content=b"x", headers={**headers, "Content-Encoding": "br"}),
        CLIENT.post("/echo/1", content=gzip.compress(bytes(LIMIT + 1)), headers={**headers, **GZIPPED}),
    ):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Origin" in answer.headers["vary"]
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        assert answer.headers["x-request-id"]


def test_an_allowed_origin_may_send_what_a_fhir_client_sends() -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,if-match",
    }
    answer = CLIENT.request("OPTIONS", "/echo/1", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in answer.headers["access-control-allow-methods"]


def test_a_page_of_another_origin_gets_no_leave() -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert CLIENT.request("OPTIONS", "/echo/1", headers=asked).status_code == 400
    answer = CLIENT.get("/large", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
