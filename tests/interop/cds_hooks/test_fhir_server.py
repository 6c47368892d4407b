import asyncio
import gzip
import logging
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from inference.errors import ConfigurationError, DataMissing
from interop.cds_hooks.fhir_server import FhirAccess, FhirServerRefused, FhirServers, FhirServerUnavailable
from interop.cds_hooks.outgoing import CallRefused, Outgoing, Reach, Reply, Request, Resolve
from interop.settings import Settings
from tests.fakes import NOW, FixedClock
from tests.interop.cds_hooks.ehr import (
    HOST,
    Answer,
    Ehr,
    Names,
    bytes_as_they_are,
    certificates,
    drops,
    endless,
    here,
    reply,
    resource,
    silence,
)

TOKEN = "eyJ-secret.access_token~1"
BEYOND: dict[str, Any] = {"host": "0.0.0.0", "allow_anonymous": True, "mllp_allow": ("10.0.0.0/8",)}


class Noting(Outgoing):
    """Sends nothing: notes the requests that the guard lets through, with their reach."""

    def __init__(self) -> None:
        super().__init__(timedelta(seconds=1))
        self.requests: list[Request] = []

    async def get(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(200, b'{"resourceType": "Patient"}')


def reach(server: str, caller: str | None = None, **settings: Any) -> Reach | None:
    """How far the call of a server may go, None where it is refused before."""
    noting = Noting()
    try:
        asyncio.run(
            FhirServers(Settings(**settings), FixedClock(), noting).get(FhirAccess(server, caller=caller), "Patient/1")
        )
    except FhirServerRefused:
        assert not noting.requests
        return None
    return noting.requests[0].reach


def read(
    answer: Answer, relative: str = "Patient/123", *, seconds: float = 30, token: str | None = None
) -> tuple[dict[str, Any], Ehr]:
    """What is read from a server on this machine that gives one answer, and the server."""

    async def scene() -> tuple[dict[str, Any], Ehr]:
        async with Ehr(answer) as ehr:
            servers = FhirServers(Settings(cds_fetch_timeout=timedelta(seconds=seconds)), FixedClock())
            try:
                return await servers.get(FhirAccess(ehr.base, token, NOW + timedelta(seconds=1)), relative), ehr
            finally:
                await servers.close()

    return asyncio.run(scene())


def test_a_resource_is_read_as_the_user_that_the_hook_call_names() -> None:
    found, ehr = read(resource(id="123"), token=TOKEN)
    assert found == {"resourceType": "Patient", "id": "123"}
    (asked,) = ehr.asked
    assert asked.target == "/fhir/Patient/123"
    assert asked.headers["accept"] == "application/fhir+json"
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers.keys() == {"host", "accept", "accept-encoding", "authorization"}


def test_without_a_token_none_is_sent() -> None:
    _, ehr = read(resource())
    assert "authorization" not in ehr.asked[0].headers


def test_a_search_is_sent_with_its_query() -> None:
    found, ehr = read(resource(resourceType="Bundle"), "Observation?patient=123&code=http://loinc.org|11524-6")
    assert found["resourceType"] == "Bundle"
    assert ehr.asked[0].target == "/fhir/Observation?patient=123&code=http://loinc.org%7C11524-6"


def test_a_compressed_answer_is_read() -> None:
    found, _ = read(reply(gzip.compress(b'{"resourceType": "Bundle"}'), Content_Encoding="gzip"))
    assert found == {"resourceType": "Bundle"}


def test_connections_are_kept_between_calls() -> None:
    async def scene() -> int:
        async with Ehr() as ehr:
            servers = FhirServers(Settings(), FixedClock())
            for number in range(3):
                await servers.get(FhirAccess(ehr.base), f"Patient/{number}")
            await servers.close()
            return ehr.connections

    assert asyncio.run(scene()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_no_of_the_server_is_a_refusal(status: int) -> None:
    with pytest.raises(FhirServerRefused, match=str(status)) as caught:
        read(reply(b'{"resourceType": "OperationOutcome"}', status))
    assert (caught.value.code, caught.value.element) == ("data-missing", "fhirServer")


BAD_ANSWERS = {
    "500": reply(b"", 500),
    "503": reply(b"", 503),
    "408": reply(b"", 408),
    "429": reply(b"", 429),
    "204": bytes_as_they_are(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "redirect": reply(b"", 302, Location="http://169.254.169.254/latest/meta-data/"),
    "empty": reply(b""),
    "html": reply(b"<html>Please log in</html>"),
    "a list": reply(b"[]"),
    "no type": reply(b"{}"),
    "a number for a type": reply(b'{"resourceType": 1}'),
    "deep": reply(b'{"resourceType":' + b"[" * 100_000),
    "nan": reply(b'{"resourceType": "Patient", "x": NaN}'),
    "not utf-8": reply(b'{"resourceType": "\xff"}'),
    "not http": bytes_as_they_are(b"\x15\x03\x01\x00\x02\x02\x16"),
    "gone": bytes_as_they_are(b""),
    "bomb": reply(gzip.compress(bytes(17 * 1024 * 1024)), Content_Encoding="gzip"),
    "endless": endless,
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_an_answer_of_no_use_is_no_data(answer: Answer) -> None:
    with pytest.raises(FhirServerUnavailable) as caught:
        read(answer)
    assert isinstance(caught.value, DataMissing)
    assert caught.value.message == "the FHIR server could not be read"


@pytest.mark.parametrize("answer", [silence, drops], ids=["silent", "slow"])
def test_a_slow_server_is_waited_for_as_long_as_is_set(answer: Answer) -> None:
    with pytest.raises(FhirServerUnavailable):
        read(answer, seconds=0.3)


@pytest.mark.parametrize("after", [0, 1])
def test_a_token_that_has_expired_is_not_sent(after: int) -> None:
    clock, noting = FixedClock(), Noting()
    servers = FhirServers(Settings(), clock, noting)
    access = FhirAccess.granted("https://ehr.example/fhir", TOKEN, 300, received_at=NOW)
    asyncio.run(servers.get(access, "Patient/1"))
    clock.now = NOW + timedelta(seconds=300 + after)
    with pytest.raises(FhirServerRefused, match="expired"):
        asyncio.run(servers.get(access, "Patient/1"))
    assert len(noting.requests) == 1


def test_a_promise_without_end_is_cut() -> None:
    access = FhirAccess.granted("https://ehr.example", TOKEN, 10**30, received_at=NOW)
    assert access.expires_at == NOW + timedelta(days=1)


@pytest.mark.parametrize("token", ["a b", "a\r\nHost: x", "a\x00", "\u00e9", "a\n"])
def test_a_token_that_is_no_header_is_not_sent(token: str) -> None:
    noting = Noting()
    with pytest.raises(FhirServerRefused):
        asyncio.run(
            FhirServers(Settings(), FixedClock(), noting).get(FhirAccess("https://ehr.example", token), "Patient/1")
        )
    assert noting.requests == []


def test_the_token_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(FhirServerRefused) as caught:
        read(reply(b"", 403), "Patient/4711", token=TOKEN)
    shown = [str(caught.value), *(str(vars(record)) for record in caplog.records), repr(FhirAccess("x", TOKEN))]
    assert not any(TOKEN in text or "4711" in text for text in shown)
    assert [vars(record)["reason"] for record in caplog.records if "not read" in record.msg] == ["status-403"]


@pytest.mark.parametrize(
    ("server", "caller", "settings", "expected"),
    [
        # on this machine, without a JWT
        ("https://ehr.example/fhir", None, {}, Reach.GLOBAL | Reach.LOOPBACK),
        ("http://localhost:8080/fhir", None, {}, Reach.LOOPBACK),
        # the same, but others reach the service through a proxy
        ("https://ehr.example/fhir", None, {"public_url": "https://ecg.example"}, None),
        ("http://localhost:8080/fhir", None, {"public_url": "https://ecg.example"}, None),
        ("http://localhost:8080/fhir", "https://ehr.example", {"public_url": "https://ecg.example"}, None),
        ("https://ehr.example/fhir", "https://ehr.example", {"public_url": "https://ecg.example"}, Reach.GLOBAL),
        ("http://localhost:8080/fhir", None, {"public_url": "http://localhost:8000"}, Reach.LOOPBACK),
        ("http://localhost:8080/fhir", None, {"public_url": "no url"}, None),
        # beyond this machine
        ("https://ehr.example/fhir", None, BEYOND, None),
        ("https://ehr.example/fhir", "https://ehr.example", BEYOND, Reach.GLOBAL),
        ("http://ehr.example/fhir", "https://ehr.example", BEYOND, None),
        ("http://localhost:8080/fhir", "https://ehr.example", BEYOND, None),
        # listed
        ("http://ehr.lan/fhir", None, BEYOND | {"cds_fhir_servers": ("http://ehr.lan/fhir",)}, Reach.ANYWHERE),
        ("http://ehr.lan/fhir/r4", None, BEYOND | {"cds_fhir_servers": ("http://ehr.lan/fhir",)}, Reach.ANYWHERE),
        ("http://ehr.lan/fhir2", None, BEYOND | {"cds_fhir_servers": ("http://ehr.lan/fhir",)}, None),
        ("http://ehr.lan:81/fhir", None, BEYOND | {"cds_fhir_servers": ("http://ehr.lan/fhir",)}, None),
        ("https://ehr.lan/fhir", None, BEYOND | {"cds_fhir_servers": ("http://ehr.lan/fhir",)}, None),
    ],
)
def test_how_far_a_call_goes_depends_on_who_asks_for_what(
    server: str, caller: str | None, settings: dict[str, Any], expected: Reach | None
) -> None:
    assert reach(server, caller, **settings) == expected


@pytest.mark.parametrize(
    "server",
    [
        "http://user:secret@127.0.0.1/fhir",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://ehr.example/fhir/../admin",
        "file:///etc/passwd",
        "http://2130706433/fhir",
        "http://0177.0.0.1/fhir",
        "http://127.1/fhir",
        "https://ehr.example/\r\nHost: x",
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_refused(server: str) -> None:
    assert reach(server) is None


@pytest.mark.parametrize("relative", ["Patient/../1", "Patient/a b", "$export", "https://evil.example/Patient/1"])
def test_only_reads_and_searches_below_the_base_are_made(relative: str) -> None:
    noting = Noting()
    with pytest.raises(FhirServerRefused):
        asyncio.run(FhirServers(Settings(), FixedClock(), noting).get(FhirAccess("https://ehr.example"), relative))
    assert noting.requests == []


def read_by_name(addresses: str, scheme: str, **settings: Any) -> dict[str, Any]:
    """From a server on this machine, named so that the name has these addresses."""

    async def scene() -> dict[str, Any]:
        server_side, client_side = certificates()
        async with Ehr(tls=server_side if scheme == "https" else None) as ehr:
            names: Resolve = Names(ehr_example=addresses)
            outgoing = Outgoing(timedelta(seconds=30), tls=client_side, resolve=names)
            if "cds_fhir_servers" in settings:
                settings["cds_fhir_servers"] = (f"{scheme}://{HOST}:{ehr.port}/fhir",)
            servers = FhirServers(Settings(**settings), FixedClock(), outgoing)
            try:
                return await servers.get(
                    FhirAccess(f"{scheme}://{HOST}:{ehr.port}/fhir", caller="https://ehr.example"), "Patient/1"
                )
            finally:
                await servers.close()
                assert ehr.connections <= 1

    return asyncio.run(scene())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_listed_server_may_be_on_a_private_network(scheme: str) -> None:
    listed = BEYOND | {"cds_fhir_servers": ("filled in",)}
    assert read_by_name("127.0.0.1", scheme, **listed) == {"resourceType": "Patient"}


@pytest.mark.parametrize(
    "addresses", ["127.0.0.1", "8.8.8.8 127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"]
)
def test_an_unlisted_name_that_leads_inside_is_refused(addresses: str) -> None:
    with pytest.raises(FhirServerRefused):
        read_by_name(addresses, "https", **BEYOND)


def test_on_one_machine_nothing_needs_to_be_listed() -> None:
    assert read_by_name("127.0.0.1", "https") == {"resourceType": "Patient"}
    assert read_by_name("127.0.0.1", "http") == {"resourceType": "Patient"}
    with pytest.raises(FhirServerRefused):
        read_by_name("10.0.0.1", "https")


def test_a_refusal_by_address_says_no_more_than_any_other() -> None:
    class Refusing(Outgoing):
        async def get(self, request: Request) -> Reply:
            raise CallRefused("address")

    servers = FhirServers(Settings(), FixedClock(), Refusing(timedelta(seconds=1), resolve=here()))
    with pytest.raises(FhirServerRefused, match="may not be called from here"):
        asyncio.run(servers.get(FhirAccess("https://ehr.example"), "Patient/1"))


def test_every_wrong_entry_of_the_list_is_told_at_start() -> None:
    settings = Settings(cds_fhir_servers="https://a.example/fhir, ftp://x, https://u:secret@b.example")
    with pytest.raises(ConfigurationError, match=r"ECG_CDS_FHIR_SERVERS: entry 2 .*; entry 3 ") as caught:
        FhirServers(settings, FixedClock())
    assert "secret" not in caught.value.message


def test_the_list_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_CDS_FHIR_SERVERS", " http://ehr.lan/fhir,https://b.example ,")
    monkeypatch.setenv("ECG_CDS_FETCH_TIMEOUT", "500ms")
    with pytest.raises(ValidationError, match="cds_fetch_timeout"):
        Settings()
    monkeypatch.setenv("ECG_CDS_FETCH_TIMEOUT", "2s")
    assert Settings().cds_fhir_servers == ("http://ehr.lan/fhir", "https://b.example")
