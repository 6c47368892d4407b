"""The client's side of both protocols, as little as a client can do: its time is part of what is measured."""

import asyncio
from typing import Literal, cast

Protocol = Literal["http", "mllp"]

_MLLP_END = b"\x1c\r"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Peer(asyncio.Protocol):
    """One connection, one message at a time."""

    def __init__(self, protocol: Protocol) -> None:
        self._complete = {"http": _http_complete, "mllp": _mllp_complete}[protocol]
        self._buffer = b""
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one without deriving from it

    def data_received(self, data: bytes) -> None:
        """Hand the answer over once it is whole."""
        self._buffer += data
        if self._waiting is not None and not self._waiting.done() and self._complete(self._buffer):
            self._waiting.set_result(self._buffer)
            self._buffer = b""

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the service closed the connection"))

    async def exchange(self, content: bytes) -> bytes:
        """Send one message and give back the whole answer. Raises ConnectionError."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return await self._waiting

    def close(self) -> None:
        """Close the connection."""
        assert self._transport is not None
        self._transport.close()


async def connect(protocol: Protocol, address: tuple[str, int]) -> Peer:
    """Open a connection. Raises OSError."""
    _, peer = await asyncio.get_running_loop().create_connection(lambda: Peer(protocol), *address)
    return peer


def _mllp_complete(answer: bytes) -> bool:
    return answer.endswith(_MLLP_END)


def _http_complete(answer: bytes) -> bool:
    head, found, body = answer.partition(_HEAD_END)
    if not found:
        return False
    lines = head.lower().split(b"\r\n")
    length = next((line[len(_LENGTH) :] for line in lines if line.startswith(_LENGTH)), b"0")
    return len(body) >= int(length)


def http_request(path: str, media_type: str, body: bytes) -> bytes:
    """A POST on a connection that stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def mllp_frame(content: bytes) -> bytes:
    """The content as it goes over the wire."""
    return b"\x0b" + content + _MLLP_END


def accepted(protocol: Protocol, answer: bytes) -> bool:
    """Whether it is an answer to something that was taken in and is durable."""
    if protocol == "http":
        return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201"))
    return b"\rMSA|AA|" in answer or b"\rMSA|CA|" in answer
