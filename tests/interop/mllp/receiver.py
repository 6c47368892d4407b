"""A scripted receiver on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from interop.hl7.message import read_header
from interop.mllp.framing import Frame, Framer, frame

Script = Callable[[str, int], bytes | None]


def ack(code: str, control_id: str, text: str = "") -> bytes:
    return f"MSH|^~\\&|EHR||ECG||20260302||ACK^R01^ACK|X|P|2.5.1\rMSA|{code}|{control_id}|{text}\r".encode()


def always(code: str) -> Script:
    return lambda control_id, _: frame(ack(code, control_id))


@dataclass
class Receiver:
    """`script` gives the bytes to answer to a control id and its number of arrival (from 1); None closes, b'' is
    silence. received: control ids in order of arrival; connections: how many were made."""

    script: Script = field(default_factory=lambda: always("AA"))
    received: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await server.wait_closed()

    async def until(self, count: int) -> None:
        """Wait until so many messages have arrived."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        framer = Framer(1_000_000)
        try:
            while data := await reader.read(65536):
                for event in framer.feed(data):
                    assert isinstance(event, Frame)
                    await self._take(read_header(event.content).control_id, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _take(self, control_id: str, writer: asyncio.StreamWriter) -> None:
        async with self.arrived:
            self.received.append(control_id)
            self.arrived.notify_all()
        answer = self.script(control_id, len(self.received))
        if answer is None:
            writer.close()
        else:
            writer.write(answer)
