"""The EHR on the other end of the outbox: acknowledges every result, and notes what arrives in which order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from interop.mllp.framing import Frame, Framer
from tests.bench.wire import mllp_frame

MAX_RESULT_BYTES = 1_000_000
READ_BYTES = 65536


@dataclass(slots=True)
class Deliveries:
    """What arrived. out_of_order: results whose order number is not above the patient's last one. backlog: results
    owed at each second."""

    delivered: int = 0
    out_of_order: int = 0
    patients: set[str] = field(default_factory=set)
    backlog: list[int] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """How much more was owed at the end than at half-time."""
        return self.backlog[-1] - self.backlog[len(self.backlog) // 2] if self.backlog else 0


class Receiver:
    """Listens while its context is open."""

    def __init__(self) -> None:
        self.found = Deliveries()
        self._last: dict[str, str] = {}
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        """Listen on the loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await server.wait_closed()

    async def until(self, delivered: int, seconds: float) -> None:
        """Wait for so many results; after that time what is missing counts as lost."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.found.delivered < delivered and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        framer = Framer(MAX_RESULT_BYTES)
        while data := await reader.read(READ_BYTES):
            for event in framer.feed(data):
                assert isinstance(event, Frame)
                writer.write(mllp_frame(self._taken(event.content)))

    def _taken(self, content: bytes) -> bytes:
        segments = [segment.split("|") for segment in content.decode().split("\r")]
        header, patient, order = (next(s for s in segments if s[0] == name) for name in ("MSH", "PID", "OBR"))
        # MSH-1 is the separator itself, so that MSH-10 is the tenth part.
        control_id, patient_id, number = header[9], patient[3].partition("^")[0], order[2].partition("^")[0]
        self.found.delivered += 1
        self.found.patients.add(patient_id)
        self.found.out_of_order += number <= self._last.get(patient_id, "")
        self._last[patient_id] = number
        return f"MSH|^~\\&|EHR|BENCH|ECG||20260101||ACK^R01^ACK|{control_id}|P|2.5.1\rMSA|AA|{control_id}\r".encode()
