"""The sending side: one message at a time, each until its own acknowledgement (MSA-2) has come.

A late acknowledgement of an earlier message is never taken for the next one's: it does not match, and after a
time-out the connection is dropped together with whatever still might arrive on it.
"""

import asyncio
from dataclasses import dataclass

import hl7

from inference.errors import EcgError
from interop.hl7.fields import component, raw
from interop.hl7.message import parse
from interop.mllp.framing import Frame, Framer, frame

MAX_ANSWER_BYTES = 1024 * 1024  # an acknowledgement is a few hundred bytes
_READ_BYTES = 64 * 1024


class DeliveryError(Exception):
    """A message could not be delivered."""


class Unreachable(DeliveryError):
    """No connection could be made: nothing was sent."""


class Unanswered(DeliveryError):
    """It was sent, but no acknowledgement came: the receiver may or may not have it."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An answer. code: MSA-1. text: MSA-3 or else ERR, for a person to read. content: the whole message."""

    code: str
    text: str
    content: bytes = b""

    @property
    def accepted(self) -> bool:
        """AA or CA."""
        return self.code in ("AA", "CA")

    @property
    def final(self) -> bool:
        """AR or CR: the receiver will never take this message."""
        return self.code in ("AR", "CR")


class Sender:
    """A connection to one receiver, opened when needed and kept."""

    def __init__(self, host: str, port: int, *, timeout_seconds: float) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout_seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._framer = Framer(MAX_ANSWER_BYTES)

    async def send(self, content: bytes, control_id: str) -> Acknowledgement:
        """Send a message and wait for its acknowledgement. Raises Unreachable, Unanswered."""
        reader, writer = await self._connected()
        try:
            async with asyncio.timeout(self._timeout):
                writer.write(frame(content))
                await writer.drain()
                return await self._answer(reader, control_id)
        except (OSError, TimeoutError, EOFError) as error:
            await self.close()
            raise Unanswered(f"no acknowledgement: {str(error) or type(error).__name__}") from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Drop the connection."""
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None
        self._framer = Framer(MAX_ANSWER_BYTES)
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            writer.transport.abort()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            await self.close()
        if self._streams is None:
            try:
                async with asyncio.timeout(self._timeout):
                    self._streams = await asyncio.open_connection(self._host, self._port)
            except (OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                raise Unreachable(f"{self._host}:{self._port}: {reason}") from error
        return self._streams

    async def _answer(self, reader: asyncio.StreamReader, control_id: str) -> Acknowledgement:
        while data := await reader.read(_READ_BYTES):
            for event in self._framer.feed(data):
                if isinstance(event, Frame) and (found := _acknowledgement(event.content, control_id)):
                    return found
        raise EOFError("the receiver closed the connection")


def _acknowledgement(content: bytes, control_id: str) -> Acknowledgement | None:
    """The acknowledgement of that message; None for anything else."""
    try:
        message = parse(content)
    except EcgError:
        return None
    msa, separators = message.first("MSA"), message.header.separators
    if msa is None or component(raw(msa, 2), separators, 1) != control_id:
        return None
    text = raw(msa, 3) or _error_text(message.first("ERR"))
    return Acknowledgement(component(raw(msa, 1), separators, 1).upper(), text, content)


def _error_text(err: hl7.Segment | None) -> str:
    return raw(err, 8) or raw(err, 3) or raw(err, 1)
