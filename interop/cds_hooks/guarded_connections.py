"""Connections whose address is checked when they are made, on httpcore. Imported on the first outgoing call.

The pieces of a URL go to httpcore as they were read by `server_url`; TLS is by the name, not by the address, and a
connection is used again only for calls of the same reach: one that was opened to a listed server on a private network
does not serve a call that may only go to global addresses.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import httpcore

from interop.cds_hooks.outgoing import Address, CallFailed, CallRefused, Reach, Reply, Request, Resolve, permits

# For one address while the name has others: a hospital's second line is tried before the time of the call is over.
CONNECT_SECONDS = 1.0
# Of each reach. A hook call takes three reads at once; idle ones are kept for the next click of the same user.
MAX_CONNECTIONS = 48
MAX_IDLE = 12
IDLE_SECONDS = 30.0
# Inflated in a millisecond or less, so that a gzip bomb is noticed while it is small.
PIECE_BYTES = 256 * 1024

_GZIP_NAMES = ("gzip", "x-gzip")
_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


class GuardedConnections:
    """A pool of connections for each reach."""

    def __init__(self, tls: ssl.SSLContext, resolve: Resolve) -> None:
        self._tls = tls
        self._resolve = resolve
        self._pools: dict[Reach, httpcore.AsyncConnectionPool] = {}

    async def get(self, request: Request) -> Reply:
        """The answer. Raises CallRefused, CallFailed; has no time limit of its own."""
        try:
            async with self._pool(request.reach).stream("GET", _url(request), headers=_headers(request)) as response:
                if response.status != 200:
                    return Reply(response.status, b"")
                return Reply(response.status, await _body(response, request.max_bytes))
        except _FAILURES as error:
            raise CallFailed(type(error).__name__) from error

    async def close(self) -> None:
        """Close every connection."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    def _pool(self, reach: Reach) -> httpcore.AsyncConnectionPool:
        if reach not in self._pools:
            self._pools[reach] = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_IDLE,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=CheckedNetwork(reach, self._resolve),
            )
        return self._pools[reach]


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks every address that it has, and connects to one of just these."""

    def __init__(self, reach: Reach, resolve: Resolve, network: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._reach = reach
        self._resolve = resolve
        self._network = network or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises CallRefused, httpcore.ConnectError, httpcore.ConnectTimeout."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name has no address") from error
        if not permits(self._reach, addresses):
            raise CallRefused("address")
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(str(address), port, timeout=CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(str(addresses[-1]), port, timeout=timeout)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """There is no such thing in a URL. Raises CallRefused."""
        raise CallRefused("unix socket")

    async def sleep(self, seconds: float) -> None:
        """As the network does."""
        await self._network.sleep(seconds)


async def resolved(host: str, port: int) -> list[Address]:
    """The addresses of a name by the system's resolver, in the order in which to try them (RFC 6724).

    Raises OSError, UnicodeError.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(address[0])) for *_, address in found))


def _url(request: Request) -> httpcore.URL:
    server = request.server
    return httpcore.URL(
        scheme=server.scheme.encode(), host=server.host.encode(), port=server.port, target=request.target.encode()
    )


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
    headers = {"Host": request.server.authority, "Accept-Encoding": "gzip", **request.headers}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _body(response: httpcore.Response, max_bytes: int) -> bytes:
    """Raises CallFailed for a body that is too large, as it comes or inflated, and for one that is damaged."""
    packing = _Gzip() if _is_packed(response) else _Plain()
    pieces, received_size, size = [], 0, 0
    async for received in response.aiter_stream():
        received_size += len(received)
        for piece in packing.pieces(received):
            size += len(piece)
            if max(size, received_size) > max_bytes:
                raise CallFailed("too large")
            pieces.append(piece)
            await asyncio.sleep(0)  # others get their turn between two pieces
    packing.finish()
    return b"".join(pieces)


def _is_packed(response: httpcore.Response) -> bool:
    """Raises CallFailed for an encoding that was not asked for."""
    codings = [
        coding
        for name, value in response.headers
        if name.lower() == b"content-encoding"
        for part in value.decode("latin-1").lower().split(",")
        if (coding := part.strip()) not in ("", "identity")
    ]
    if len(codings) > 1 or (codings and codings[0] not in _GZIP_NAMES):
        raise CallFailed("content encoding")
    return bool(codings)


class _Plain:
    """A body as it is."""

    def pieces(self, received: bytes) -> Iterator[bytes]:
        """Just that."""
        yield received

    def finish(self) -> None:
        """HTTP itself notices an end that comes too early."""


class _Gzip(_Plain):
    """A body that is one gzip member (RFC 1952)."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)  # 16: with the header and checksum of gzip

    def pieces(self, received: bytes) -> Iterator[bytes]:
        """What came, inflated, in bounded pieces. Raises CallFailed for what is no gzip."""
        while received:
            try:
                yield self._inflater.decompress(received, PIECE_BYTES)
            except zlib.error as error:
                raise CallFailed("damaged") from error
            if self._inflater.unused_data:
                raise CallFailed("damaged")
            received = self._inflater.unconsumed_tail

    def finish(self) -> None:
        """Raises CallFailed for an end that comes too early."""
        # Nothing is left inside: a stream ends with its checksum, which was not read before all came out.
        if not self._inflater.eof:
            raise CallFailed("damaged")
