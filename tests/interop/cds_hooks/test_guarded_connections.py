import asyncio
import gzip
import ssl
from collections.abc import Iterable

import httpcore
import pytest

from interop.cds_hooks.guarded_connections import CheckedNetwork, GuardedConnections, resolved
from interop.cds_hooks.outgoing import CallFailed, CallRefused, Reach, Reply, Request, Resolve
from interop.cds_hooks.server_url import ServerUrl
from tests.interop.cds_hooks.ehr import (
    HOST,
    Answer,
    Ehr,
    Names,
    bytes_as_they_are,
    certificates,
    endless,
    here,
    reply,
)

LIMIT = 1_000_000
BOMB = gzip.compress(bytes(20 * LIMIT))


class Network(httpcore.AsyncNetworkBackend):
    """Notes where it is to connect to. dead: addresses at which nobody answers."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.tried: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.tried.append(host)
        if host in self.dead:
            raise httpcore.ConnectTimeout("nobody there")
        return httpcore.AsyncMockStream([])


class Rebinding:
    """A name that is somewhere else every time it is asked for."""

    def __init__(self, *turns: str) -> None:
        self._turns = iter(turns)

    async def __call__(self, host: str, port: int) -> list[object]:
        return await Names(ehr_example=next(self._turns))("ehr.example", port)  # type: ignore[return-value]


def connect(network: CheckedNetwork, host: str = HOST) -> httpcore.AsyncNetworkStream:
    return asyncio.run(network.connect_tcp(host, 443))


def get(
    answer: Answer, *, tls: bool = False, resolve: Resolve | None = None, host: str = HOST, path: str = "/"
) -> Reply:
    """One call to a server that gives this answer."""
    server_side, client_side = certificates()

    async def scene() -> Reply:
        async with Ehr(answer, server_side if tls else None) as ehr:
            connections = GuardedConnections(client_side, resolve or Names(**{host.replace(".", "_"): "127.0.0.1"}))
            server = ServerUrl("https" if tls else "http", host, ehr.port, "")
            try:
                return await connections.get(
                    Request(server=server, target=path, headers={}, reach=Reach.LOOPBACK, max_bytes=LIMIT)
                )
            finally:
                await connections.close()

    return asyncio.run(scene())


def test_the_checked_address_is_the_one_that_is_connected_to() -> None:
    network = Network()
    connect(CheckedNetwork(Reach.GLOBAL, Names(ehr_example="8.8.8.8 9.9.9.9"), network))
    assert network.tried == ["8.8.8.8"]


def test_the_next_address_is_tried_where_the_first_is_silent() -> None:
    network = Network("8.8.8.8")
    connect(CheckedNetwork(Reach.GLOBAL, Names(ehr_example="8.8.8.8 9.9.9.9"), network))
    assert network.tried == ["8.8.8.8", "9.9.9.9"]
    with pytest.raises(httpcore.ConnectTimeout):
        connect(CheckedNetwork(Reach.GLOBAL, Names(ehr_example="8.8.8.8"), network))


@pytest.mark.parametrize("addresses", ["10.0.0.1", "8.8.8.8 10.0.0.1", "127.0.0.1", "169.254.169.254", "::ffff:7f00:1"])
def test_a_name_with_any_address_out_of_reach_is_not_connected_to(addresses: str) -> None:
    network = Network()
    with pytest.raises(CallRefused):
        connect(CheckedNetwork(Reach.GLOBAL, Names(ehr_example=addresses), network))
    assert network.tried == []


def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """DNS rebinding: asked once for each connection, and connected to what was checked."""
    network = Network()
    checked = CheckedNetwork(Reach.GLOBAL, Rebinding("8.8.8.8", "127.0.0.1"), network)  # type: ignore[arg-type]
    connect(checked)
    with pytest.raises(CallRefused):
        connect(checked)
    assert network.tried == ["8.8.8.8"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_in_the_place_of_the_name_is_checked_like_one(address: str) -> None:
    network = Network()
    with pytest.raises(CallRefused):
        connect(CheckedNetwork(Reach.GLOBAL, resolved, network), address)
    connect(CheckedNetwork(Reach.LOOPBACK, resolved, network), address)
    assert network.tried == [address]


def test_a_name_without_an_address_cannot_be_connected_to() -> None:
    with pytest.raises(httpcore.ConnectError):
        connect(CheckedNetwork(Reach.ANYWHERE, Names()))


def test_there_are_no_sockets_without_an_address() -> None:
    with pytest.raises(CallRefused):
        asyncio.run(CheckedNetwork(Reach.ANYWHERE, Names()).connect_unix_socket("/run/docker.sock"))


def test_a_connection_serves_no_call_of_another_reach() -> None:
    """To a listed path the host was called wherever it is; to another path of it only the guard's rules count."""

    async def scene() -> int:
        async with Ehr() as ehr:
            connections = GuardedConnections(certificates()[1], here())
            server = ServerUrl("http", HOST, ehr.port, "")
            listed = Request(server=server, target="/", headers={}, reach=Reach.ANYWHERE, max_bytes=LIMIT)
            await connections.get(listed)
            await connections.get(listed)
            unlisted = Request(server=server, target="/", headers={}, reach=Reach.GLOBAL, max_bytes=LIMIT)
            with pytest.raises(CallRefused):
                await connections.get(unlisted)
            await connections.close()
            return ehr.connections

    assert asyncio.run(scene()) == 1


def test_tls_is_by_the_name_though_the_address_is_connected_to() -> None:
    assert get(reply(b"yes"), tls=True) == Reply(200, b"yes")


def test_a_certificate_of_another_name_is_refused() -> None:
    with pytest.raises(CallFailed, match="ConnectError"):
        get(reply(), tls=True, host="other.example")


def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    async def scene() -> None:
        async with Ehr(tls=certificates()[0]) as ehr:
            connections = GuardedConnections(ssl.create_default_context(), here())
            server = ServerUrl("https", HOST, ehr.port, "")
            with pytest.raises(CallFailed, match="ConnectError"):
                await connections.get(
                    Request(server=server, target="/", headers={}, reach=Reach.LOOPBACK, max_bytes=LIMIT)
                )
            await connections.close()

    asyncio.run(scene())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    assert get(reply(b"", status, Location="http://169.254.169.254/latest/meta-data/")) == Reply(status, b"")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (reply(b"x" * LIMIT), b"x" * LIMIT),
        (reply(b""), b""),
        (reply(gzip.compress(b"x" * LIMIT), Content_Encoding="gzip"), b"x" * LIMIT),
        (reply(gzip.compress(b"abc"), Content_Encoding="identity, X-GZIP"), b"abc"),
        (reply(b"abc", Content_Encoding="identity"), b"abc"),
    ],
    ids=["plain", "empty", "gzip", "x-gzip", "identity"],
)
def test_a_body_comes_as_it_was_meant(answer: Answer, body: bytes) -> None:
    assert get(answer) == Reply(200, body)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(b"x" * (LIMIT + 1)), "too large"),
        (endless, "too large"),
        (reply(BOMB, Content_Encoding="gzip"), "too large"),
        (reply(gzip.compress(b"abc")[:-1], Content_Encoding="gzip"), "damaged"),
        (reply(b"abc", Content_Encoding="gzip"), "damaged"),
        (reply(b"", Content_Encoding="gzip"), "damaged"),
        (reply(gzip.compress(b"abc") + b"x", Content_Encoding="gzip"), "damaged"),
        (reply(b"abc", Content_Encoding="br"), "content encoding"),
        (reply(gzip.compress(gzip.compress(b"abc")), Content_Encoding="gzip, gzip"), "content encoding"),
        (bytes_as_they_are(b"SSH-2.0-OpenSSH_9.2\r\n"), "RemoteProtocolError"),
        (bytes_as_they_are(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "RemoteProtocolError"),
        (bytes_as_they_are(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000), "RemoteProtocolError"),
        (bytes_as_they_are(b""), "RemoteProtocolError"),
    ],
    ids=[
        "large",
        "endless",
        "bomb",
        "cut",
        "no gzip",
        "empty gzip",
        "more",
        "br",
        "twice",
        "ssh",
        "short",
        "head",
        "gone",
    ],
)
def test_what_is_no_answer_of_use_fails(answer: Answer, reason: str) -> None:
    with pytest.raises(CallFailed, match=reason):
        get(answer)


def test_a_bomb_is_smaller_than_the_limit_as_it_comes() -> None:
    assert len(BOMB) < LIMIT / 5


def test_nobody_there_is_a_failure() -> None:
    async def scene() -> None:
        async with Ehr() as ehr:
            port = ehr.port
        connections = GuardedConnections(certificates()[1], here())
        request = Request(
            server=ServerUrl("http", HOST, port, ""), target="/", headers={}, reach=Reach.LOOPBACK, max_bytes=LIMIT
        )
        with pytest.raises(CallFailed, match="ConnectError"):
            await connections.get(request)
        await connections.close()

    asyncio.run(scene())


def test_the_request_names_the_host_and_keeps_no_cookies() -> None:
    async def scene() -> Ehr:
        async with Ehr(reply(b"{}", Set_Cookie="a=b")) as ehr:
            connections = GuardedConnections(certificates()[1], here())
            server = ServerUrl("http", HOST, ehr.port, "")
            for _ in range(2):
                await connections.get(
                    Request(server=server, target="/x?y=z", headers={"A": "b"}, reach=Reach.LOOPBACK, max_bytes=LIMIT)
                )
            await connections.close()
            return ehr

    ehr = asyncio.run(scene())
    expected = {"host": f"{HOST}:{ehr.port}", "accept-encoding": "gzip", "a": "b"}
    assert [(asked.target, asked.headers) for asked in ehr.asked] == [("/x?y=z", expected)] * 2
