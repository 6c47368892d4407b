import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest

from interop.cds_hooks.client_keys import (
    FETCH_INTERVAL,
    FETCHED_AFTER,
    GOOD_FOR,
    STALE_AFTER,
    FetchedKeys,
    key_request,
    read_key_set,
)
from interop.cds_hooks.outgoing import CallFailed, Outgoing, Reply, Request
from tests.fakes import FixedClock
from tests.interop.cds_hooks.ehr import HOST, Ehr, certificates, ec_key, here, jwk, reply, rsa_key

EC_JWK = jwk(ec_key(), "ec")
RSA_JWK = jwk(rsa_key(), "rsa")
SECRET = {"d": "AQAB"}


class Published(Outgoing):
    """A client's web server: the set that it has now, and how often it was asked. None: it is down."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        super().__init__(timedelta(seconds=1))
        self.body: bytes | None = key_set(*keys)
        self.asked = 0

    async def get(self, request: Request) -> Reply:
        self.asked += 1
        await asyncio.sleep(0)
        if self.body is None:
            raise CallFailed("timed out")
        return Reply(200, self.body)


def key_set(*keys: dict[str, Any]) -> bytes:
    return orjson.dumps({"keys": keys})


def fetched(published: Outgoing, clock: FixedClock) -> FetchedKeys:
    return FetchedKeys(f"https://{HOST}/jwks", clock, published)


@pytest.mark.parametrize(("key", "algorithm"), [(EC_JWK, "ES384"), (RSA_JWK, "RS384")], ids=["ec", "rsa"])
def test_a_public_key_is_read_with_what_it_verifies(key: dict[str, Any], algorithm: str) -> None:
    found = read_key_set({"keys": [key | {"use": "sig", "alg": algorithm, "key_ops": ["verify"]}]})
    assert found.problems == ()
    assert found.keys[key["kid"]].algorithm_name == algorithm


@pytest.mark.parametrize(
    "other",
    [
        EC_JWK | {"kid": "x", "use": "enc"},
        RSA_JWK | {"kid": "x", "alg": "RS256"},
        RSA_JWK | {"kid": "x", "alg": "RSA-OAEP"},
        RSA_JWK | {"kid": "x", "key_ops": ["encrypt"]},
        EC_JWK | {"kid": "x", "crv": "P-256"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AAAA"},
        {"kty": "XYZ"},
        {"kty": ["RSA"], "crv": {}},
    ],
)
def test_a_key_for_something_else_is_passed_over(other: dict[str, Any]) -> None:
    found = read_key_set({"keys": [other, EC_JWK]})
    assert (list(found.keys), found.problems) == (["ec"], ())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("text", "is no JSON object"),
        (EC_JWK | {"kid": "x"} | SECRET, "private"),
        (RSA_JWK | {"kid": "x"} | SECRET, "private"),
        ({"kty": "oct", "kid": "x", "k": "c2VjcmV0"}, "symmetric"),
        ({name: value for name, value in EC_JWK.items() if name != "kid"}, "has no kid"),
        (EC_JWK | {"kid": 7}, "has no kid"),
        (EC_JWK | {"kid": ""}, "has no kid"),
        (EC_JWK, "has the kid of another"),
        (EC_JWK | {"kid": "x", "y": EC_JWK["x"]}, "is no valid key"),
        (EC_JWK | {"kid": "x", "x": "AQAB"}, "is no valid key"),
        (EC_JWK | {"kid": "x", "x": 7}, "is no valid key"),
        ({"kty": "RSA", "kid": "x"}, "is no valid key"),
        (RSA_JWK | {"kid": "x", "e": "AQ"}, "is no valid key"),
        (RSA_JWK | {"kid": "x", "n": None}, "is no valid key"),
        (jwk(rsa_key(9, 1024), "x"), "has 1024 bits"),
    ],
)
def test_a_wrong_key_is_told_and_not_used(wrong: Any, problem: str) -> None:
    found = read_key_set({"keys": [EC_JWK, wrong]})
    assert list(found.keys) == ["ec"]
    (told,) = found.problems
    assert told.startswith("keys[1] ")
    assert problem in told


@pytest.mark.parametrize("document", [None, [], "x", {}, {"keys": None}, {"keys": {}}, {"keys": []}])
def test_a_set_without_a_usable_key_is_told(document: object) -> None:
    found = read_key_set(document)
    assert not found.keys
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    "uri", ["http://ehr.example/jwks", "ehr.example/jwks", "https://u@ehr.example/", "https://e/#x"]
)
def test_keys_come_by_https_only(uri: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        key_request(uri)


def test_the_address_of_keys_may_have_a_query() -> None:
    assert key_request("https://ehr.example/keys/?p=a").target == "/keys/?p=a"
    assert key_request("https://ehr.example").target == "/"


def test_keys_are_fetched_once_and_kept() -> None:
    async def scene() -> None:
        published, clock = Published(EC_JWK), FixedClock()
        keys = fetched(published, clock)
        assert await asyncio.gather(*(keys.find("ec") for _ in range(5))) == [await keys.find("ec")] * 5
        clock.now += FETCHED_AFTER
        assert await keys.find("ec") is not None
        assert published.asked == 1

    asyncio.run(scene())


def test_keys_are_renewed_before_they_are_too_old_and_nobody_waits() -> None:
    async def scene() -> None:
        published, clock = Published(EC_JWK), FixedClock()
        keys = fetched(published, clock)
        old = await keys.find("ec")
        clock.now += FETCHED_AFTER + timedelta(seconds=1)
        assert await keys.find("ec") is old
        await asyncio.sleep(0.01)
        assert published.asked == 2
        assert await keys.find("ec") is not old

    asyncio.run(scene())


def test_a_new_key_of_the_client_is_found_at_once() -> None:
    async def scene() -> None:
        published, clock = Published(EC_JWK), FixedClock()
        keys = fetched(published, clock)
        await keys.find("ec")
        published.body = key_set(RSA_JWK)
        clock.now += FETCH_INTERVAL
        assert await keys.find("rsa") is not None
        assert await keys.find("ec") is None

    asyncio.run(scene())


def test_made_up_kids_do_not_become_requests() -> None:
    async def scene() -> None:
        published, clock = Published(EC_JWK), FixedClock()
        keys = fetched(published, clock)
        for number in range(100):
            assert await keys.find(f"made-up-{number}") is None
        assert published.asked == 1
        clock.now += FETCH_INTERVAL
        for number in range(100):
            assert await keys.find(f"made-up-{number}") is None
        assert published.asked == 2

    asyncio.run(scene())


@pytest.mark.parametrize("body", [None, b"<html>", b"{}", b"[]"])
def test_the_last_keys_go_on_for_a_while_when_there_are_no_newer_ones(body: bytes | None) -> None:
    async def scene() -> None:
        published, clock = Published(EC_JWK), FixedClock()
        keys = fetched(published, clock)
        await keys.find("ec")
        published.body = body
        clock.now += GOOD_FOR + timedelta(seconds=1)
        assert await keys.find("ec") is not None
        assert published.asked == 2
        clock.now += STALE_AFTER
        assert await keys.find("ec") is None

    asyncio.run(scene())


def test_a_key_that_was_withdrawn_ends_with_the_next_set() -> None:
    async def scene() -> None:
        published, clock = Published(EC_JWK), FixedClock()
        keys = fetched(published, clock)
        await keys.find("ec")
        published.body = key_set()
        clock.now += GOOD_FOR + timedelta(seconds=1)
        assert await keys.find("ec") is None

    asyncio.run(scene())


def test_a_caller_who_gives_up_does_not_end_the_fetch_of_others() -> None:
    async def scene() -> None:
        keys = fetched(Published(EC_JWK), FixedClock())
        first = asyncio.create_task(keys.find("ec"))
        second = asyncio.create_task(keys.find("ec"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is not None

    asyncio.run(scene())


def test_keys_come_over_a_real_connection_that_is_closed_after() -> None:
    async def scene() -> None:
        server_side, client_side = certificates()
        async with Ehr(reply(key_set(EC_JWK)), server_side) as ehr:
            outgoing = Outgoing(timedelta(seconds=30), tls=client_side, resolve=here())
            keys = FetchedKeys(f"https://{HOST}:{ehr.port}/jwks", FixedClock(), outgoing)
            assert await keys.find("ec") is not None
            assert ehr.asked[0].headers["connection"] == "close"
            ehr.answer = reply(b"", 302, Location=f"https://{HOST}:{ehr.port}/other")
            assert await keys.find("other") is None
            await outgoing.close()
            assert [asked.target for asked in ehr.asked] == ["/jwks"]

    asyncio.run(scene())
