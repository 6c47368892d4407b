"""One MLLP connection: reads, hands frame after frame to the handler, writes the answers in the same order.

While a message is being analysed nothing more is taken from the socket than the stream's buffer holds, so a sender
that pipelines is slowed down by TCP instead of filling our memory.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from interop.hl7.ack import split
from interop.logs import correlation, new_correlation_id
from interop.mllp.framing import Event, Frame, Framer, Garbage, Oversize, Unterminated, frame
from interop.mllp.handler import Handler, Reply

log = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
IDLE_SECONDS = 3600.0  # engines keep connections open for days; this only sweeps up half-open ones
MAX_GARBAGE = 16 * 1024  # a peer that has sent so much without a frame speaks another protocol


@dataclass(slots=True, eq=False)
class Connection:
    """A connection from a sender. message_seconds: how long one frame may take to arrive whole."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    handler: Handler
    framer: Framer
    message_seconds: float
    idle_seconds: float = IDLE_SECONDS
    busy: bool = False
    closing: bool = False
    _identity: str = field(default_factory=new_correlation_id)
    _deadline: float | None = None
    _marking: asyncio.Future[None] | None = None

    async def serve(self) -> None:
        """Serve until the peer closes, is silent for too long, or `stop` is called.

        What is logged of the connection itself has an id of its own, so that it is not taken for its last message's."""
        correlation.set(self._identity)
        try:
            while not self.closing and (data := await self._read()):
                await self._feed(data)
        except TimeoutError:
            log.warning("MLLP peer timed out", extra={"within_frame": self.framer.in_frame})
        except ConnectionError:
            log.info("MLLP peer is gone")
        finally:
            await self._finish()

    def stop(self) -> None:
        """End after the message in hand; at once when there is none."""
        self.closing = True
        if not self.busy:
            self.writer.close()

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        if not self.framer.in_frame:
            self._deadline = None
        elif self._deadline is None:
            self._deadline = loop.time() + self.message_seconds
        async with asyncio.timeout_at(self._deadline or loop.time() + self.idle_seconds):
            return await self.reader.read(READ_BYTES)

    async def _feed(self, data: bytes) -> None:
        self.busy = True
        try:
            for event in self.framer.feed(data):
                self._deadline = None
                try:
                    await self._take(event)
                finally:
                    correlation.set(self._identity)
                if self.closing:
                    return
        finally:
            self.busy = False
        if self.framer.garbage > MAX_GARBAGE:
            log.warning("MLLP peer sends no frames", extra={"bytes": self.framer.garbage})
            self.closing = True

    async def _take(self, event: Event) -> None:
        match event:
            case Frame(content):
                await self._send(await self.handler.handle(content))
            case Oversize(head):
                await self._send(await self.handler.refuse_oversize(head))
                self.closing = True
            case Unterminated(_, size):
                log.warning("a frame was cut off by the next", extra={"bytes": size})
            case Garbage(size):
                log.warning("bytes outside of any frame", extra={"bytes": size})

    async def _send(self, reply: Reply) -> None:
        delivered = False
        try:
            if self.writer.is_closing():  # asyncio drops what is written now, uvloop raises RuntimeError
                raise ConnectionResetError
            for message in split(reply.answer):
                self.writer.write(frame(message))
            if self.writer.transport.get_write_buffer_size():  # an acknowledgement goes out at once
                async with asyncio.timeout(self.message_seconds):
                    await self.writer.drain()
            delivered = not self.writer.is_closing()
        finally:
            if reply.inbox_id is not None:
                await self._mark(reply.inbox_id, delivered)

    async def _mark(self, inbox_id: int, delivered: bool) -> None:
        """Store the acknowledgement's state beside the next message: at most one such write is open at a time."""
        if self._marking is not None:
            await self._marking
        self._marking = self.handler.mark(inbox_id, delivered=delivered)

    async def _finish(self) -> None:
        if self._marking is not None:
            await self._marking
        self.writer.close()
        try:
            async with asyncio.timeout(self.message_seconds):
                await self.writer.wait_closed()
        except (ConnectionError, TimeoutError):
            self.writer.transport.abort()
