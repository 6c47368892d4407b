"""Compressed request bodies (RFC 9110 section 8.4), as plain ASGI.

A body is inflated in pieces while the application reads it, and counts by its inflated size: a few kilobytes that would
become gigabytes are refused as soon as they are over the limit, without ever being in memory. `BodyLimit`, around
this, counts what comes over the wire.
"""

import zlib
from asyncio import sleep

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference.errors import Malformed, TooLarge, UnsupportedMediaType
from interop.middleware import Render

# RFC 9110 section 8.4.1.3: x-gzip is the same.
GZIP = frozenset({"gzip", "x-gzip"})
CODED = "content-encoding"
# No longer true of what the application reads.
REMOVED = frozenset({CODED.encode(), b"content-length"})
# Inflated in a millisecond or less, after which the event loop gets its turn.
PIECE_BYTES = 256 * 1024
INPUT_BYTES = 64 * 1024


class Decompressed:
    """Lets the application read a gzip body as if it had come plain. Other encodings are answered with 415."""

    def __init__(self, app: ASGIApp, limit: int, render: Render) -> None:
        """limit: bytes after inflation."""
        self._app = app
        self._limit = limit
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Inflate the body."""
        codings = _codings(scope) if scope["type"] == "http" else []
        if not codings:
            await self._app(scope, receive, send)
        elif len(codings) > 1 or codings[0] not in GZIP:
            await self._refuse(scope, receive, send)
        else:
            # In place: the middlewares around this read the route that is found further in.
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in REMOVED]
            await self._app(scope, _Body(receive, self._limit).receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._render(scope, UnsupportedMediaType("Content-Encoding is not taken; send gzip, or no encoding"))
        response.headers["Accept-Encoding"] = "gzip, identity"  # RFC 9110 section 15.5.16
        await response(scope, receive, send)


class _Body:
    """The body of one request. Each piece that the application receives is bounded, however well it was packed."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._stream = _Gzip()
        self._size = 0
        self._is_last = False

    async def receive(self) -> Message:
        """The next piece. Raises TooLarge, Malformed."""
        if self._stream.is_waiting:
            await sleep(0)
        else:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._stream.feed(message.get("body", b""))
            self._is_last = not message.get("more_body", False)
        return self._piece()

    def _piece(self) -> Message:
        try:
            piece = self._stream.inflate(PIECE_BYTES)
        except zlib.error as error:
            raise Malformed("the body is no gzip, or is damaged") from error
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(f"the inflated body is over {self._limit} bytes; the operator can raise ECG_HTTP_MAX_BYTES")
        more = self._stream.is_waiting or not self._is_last
        if not more and not self._stream.is_complete:
            raise Malformed("the gzip body ended early")
        return {"type": "http.request", "body": piece, "more_body": more}


class _Gzip:
    """A gzip stream, of one member or of several in a row (RFC 1952 section 2.2)."""

    def __init__(self) -> None:
        self._inflater = _inflater()
        self._input = b""
        self._read = 0
        self._has_begun = False

    @property
    def is_waiting(self) -> bool:
        """Whether there is more to inflate in what was fed."""
        # Output that is still inside once all input was taken comes with what follows: a stream ends with a checksum.
        return self._read < len(self._input)

    @property
    def is_complete(self) -> bool:
        """Whether the last member has ended; a body without a byte is no stream at all."""
        return self._inflater.eof or not self._has_begun

    def feed(self, received: bytes) -> None:
        """Take what came next, after all before was inflated."""
        self._input, self._read = received, 0
        self._has_begun = self._has_begun or bool(received)

    def inflate(self, limit: int) -> bytes:
        """Up to so many bytes. Raises zlib.error."""
        if self._inflater.eof and self.is_waiting:
            self._inflater = _inflater()
        taken = self._input[self._read : self._read + INPUT_BYTES]
        inflated = self._inflater.decompress(taken, limit)
        self._read += len(taken) - len(self._inflater.unconsumed_tail) - len(self._inflater.unused_data)
        return inflated


def _inflater() -> "zlib._Decompress":
    return zlib.decompressobj(16 + zlib.MAX_WBITS)  # 16: with the header and checksum of gzip


def _codings(scope: Scope) -> list[str]:
    """What the body was encoded with, in that order; identity is none."""
    given = ",".join(Headers(scope=scope).getlist(CODED)).lower().split(",")
    return [coding for part in given if (coding := part.strip()) not in ("", "identity")]
