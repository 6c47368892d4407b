"""A listener on a real socket, a real store in an SQLite file, and a fake model behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from actions.analysis import Mode
from actions.analyze import Analyze
from actions.policy import load_policy
from audit.records import InboxRow, QueueRow, Reader
from audit.store import Store, open_store
from audit.upgrade import upgrade
from inference.formats import wfdb
from inference.recording import Recording
from interop.hl7.waveform import to_oru
from interop.intake import Intake
from interop.lanes import Lane, Readers, Writer
from interop.metrics import Metrics
from interop.mllp.framing import Frame, Framer, frame
from interop.mllp.server import MllpServer
from interop.settings import Settings
from tests.conftest import ROOT
from tests.fakes import NOW, FakeClassify, FixedClock, SequentialIds, make_prediction

ANSWER_SECONDS = 20


def recording(**changes: Any) -> Recording:
    """The shipped recording of an old infarct (PTB-XL ecg_id 184), made five minutes ago."""
    source = wfdb.read(ROOT / "examples" / "00184_hr.hea")
    given = {"recorded_at": NOW - timedelta(minutes=5), "age": 74.0, **changes}
    return Recording(source.signal, source.sampling_rate, **given)


def ecg(control_id: str = "M-1", patient_id: str = "4711", **options: Any) -> bytes:
    """The recording as a message."""
    return to_oru(recording(), control_id=control_id, sent_at=NOW, patient_id=patient_id, **options)


@dataclass
class World:
    """What a test can look at and change."""

    folder: Path
    classify: FakeClassify = field(default_factory=lambda: FakeClassify(make_prediction(MI=0.83)))
    clock: FixedClock = field(default_factory=FixedClock)
    mode: Mode = Mode.LIVE
    queue_limit: int = 64

    def settings(self, **given: Any) -> Settings:
        return Settings(_env_file=None, **given)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/ecg.sqlite"

    @asynccontextmanager
    async def intake(self) -> AsyncIterator[Intake]:
        if not (self.folder / "ecg.sqlite").exists():
            upgrade(self.url)
        store = open_store(self.url, chain_id="chain-a")
        lane, writer, readers = Lane(self.queue_limit), Writer(store), Readers(_reader(store))
        analyzer = Analyze(classify=self.classify, policy=load_policy(), clock=self.clock, ids=SequentialIds())
        try:
            yield Intake(analyzer, lane, writer, readers, Metrics(), self.clock, _ids(), self.mode)
        finally:
            for part in (lane, readers, writer, store):
                await asyncio.to_thread(part.close)

    @asynccontextmanager
    async def serving(self, **given: Any) -> AsyncIterator["Door"]:
        async with self.intake() as intake:
            server = MllpServer(intake, self.settings(**given))
            await server.start("127.0.0.1", 0)
            door = Door(server, intake)
            try:
                yield door
            finally:
                for peer in door.peers:
                    await peer.close()
                await server.close(5)


@dataclass
class Door:
    """A running listener."""

    server: MllpServer
    intake: Intake
    peers: list["Peer"] = field(default_factory=list)

    async def connect(self) -> "Peer":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        self.peers.append(Peer(reader, writer))
        return self.peers[-1]

    async def ask(self, content: bytes) -> bytes:
        """The one answer to one message on a connection of its own."""
        peer = await self.connect()
        await peer.send(frame(content))
        answer = await peer.answer()
        await peer.close()
        return answer

    async def inbox(self, control_id: str = "M-1", sender: str = "ECG-INTEROP|LOCAL") -> list[InboxRow]:
        return list(await self.intake.read(lambda reader: reader.inbox.find("mllp", sender, control_id)))

    async def outbox(self) -> list[QueueRow]:
        return list(await self.intake.read(lambda reader: reader.outbox.list(None, 100)))


@dataclass
class Peer:
    """A sender, spoken to byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    framer: Framer = field(default_factory=lambda: Framer(1_000_000))
    waiting: list[bytes] = field(default_factory=list)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> bytes:
        """The next answer. Raises EOFError when the connection ends instead."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not self.waiting:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError
                self.waiting += [event.content for event in self.framer.feed(data) if isinstance(event, Frame)]
        return self.waiting.pop(0)

    async def ended(self) -> bool:
        """Whether the other side closes without a further answer."""
        try:
            await self.answer()
        except (EOFError, ConnectionError):
            return True
        return False

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def _reader(store: Store) -> Callable[[Callable[[Reader], Any]], Any]:
    def read(query: Callable[[Reader], Any]) -> Any:
        with store.reader() as reader:
            return query(reader)

    return read


def _ids() -> SequentialIds:
    # Apart from the analyzer's, so that no id is given twice.
    return SequentialIds(given=1_000_000)


def fields(message: bytes, segment: str) -> list[str]:
    """The fields of the first segment of that name; empty when there is none."""
    rows = [row.split("|") for row in message.decode("utf-8").split("\r")]
    return next((row for row in rows if row[0] == segment), [])
