"""Calls to addresses that others named: within a time limit, a size, and a reach.

The reach is checked on the address that is connected to (`guarded_connections`), so that a name which answers otherwise
the second time gains nothing (DNS rebinding). Nothing else of an HTTP client is here: no redirects, cookies, proxies or
passwords from the environment, for each of them leads elsewhere.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Flag, auto
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, TypeAlias

from interop.cds_hooks.server_url import ServerUrl

if TYPE_CHECKING:
    from interop.cds_hooks.guarded_connections import GuardedConnections

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[Address]]]

# What IANA has given out (RFC 4291 section 2.4); Python calls all that is not special global, fec0::/10 included.
_UNICAST = IPv6Network("2000::/3")
# How IPv4 servers look in a network without IPv4 (RFC 6052 section 2.1): the address is in the last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")


class CallRefused(Exception):
    """The guard does not let this call out."""


class CallFailed(Exception):
    """No answer, or none of use: out of reach, too slow, too large, damaged."""


class Reach(Flag):
    """Where a call may go. Several together: all addresses of a name are of the one kind, or all of another."""

    GLOBAL = auto()
    LOOPBACK = auto()
    ANYWHERE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A GET. target: path and query. headers: beside Host and Accept-Encoding."""

    server: ServerUrl
    target: str
    headers: Mapping[str, str]
    reach: Reach
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Reply:
    """body: inflated; read with status 200 only."""

    status: int
    body: bytes


class Outgoing:
    """A keeper of open connections. Costs nothing until the first call: then httpcore is imported, and certificates.

    timeout: for one call from the name's resolution to the last byte. tls: whose certificates are trusted, by default
    the machine's own store. resolve: by default the system's.
    """

    def __init__(
        self, timeout: timedelta, *, tls: ssl.SSLContext | None = None, resolve: Resolve | None = None
    ) -> None:
        self._seconds = timeout.total_seconds()
        self._tls = tls
        self._resolve = resolve
        self._connections: GuardedConnections | None = None

    async def get(self, request: Request) -> Reply:
        """The answer, whatever its status. Raises CallRefused, CallFailed."""
        try:
            async with asyncio.timeout(self._seconds):
                connections = await self._opened()
                return await connections.get(request)
        except TimeoutError as error:
            raise CallFailed("timed out") from error

    async def close(self) -> None:
        """Close what is open. A later call opens anew."""
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()

    async def _opened(self) -> "GuardedConnections":
        if self._connections is None:
            # In a thread: a tenth of a second in which the event loop would answer nobody.
            opened = await asyncio.to_thread(self._open)
            self._connections = self._connections or opened
        return self._connections

    def _open(self) -> "GuardedConnections":
        from interop.cds_hooks.guarded_connections import GuardedConnections, resolved

        return GuardedConnections(self._tls or ssl.create_default_context(), self._resolve or resolved)


def permits(reach: Reach, addresses: Collection[Address]) -> bool:
    """Whether a name with these addresses may be called; one that has none may not."""
    if not addresses:
        return False
    return Reach.ANYWHERE in reach or any(
        kind in reach and all(map(is_of_kind, addresses)) for kind, is_of_kind in _KINDS.items()
    )


def _is_global(address: Address) -> bool:
    """Of an IPv6 address with an IPv4 address inside, that one is asked: it is where the packets end up."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped is not None:
        return _is_global(address.ipv4_mapped)
    if address in _NAT64:
        return _is_global(IPv4Address(int(address) & 0xFFFF_FFFF))
    relayed = address.sixtofour
    return address.is_global and address in _UNICAST and (relayed is None or _is_global(relayed))


def _is_loopback(address: Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


_KINDS: Mapping[Reach, Callable[[Address], bool]] = {Reach.GLOBAL: _is_global, Reach.LOOPBACK: _is_loopback}
