"""Senders as they are in a hospital: ECGs by MLLP and FHIR, small messages in between, some pipelined. What they sent
and what was acknowledged is kept in a ledger, to be compared with the store."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from pathlib import Path
from threading import Event, Lock

import httpx
import orjson

from inference.formats import read
from inference.recording import Recording
from interop import client
from interop.hl7.waveform import to_oru
from interop.mllp.framing import Frame, Framer, frame

ANSWER_SECONDS = 20.0
MAX_ANSWER_BYTES = 1 << 20
FHIR_JSON = {"Content-Type": "application/fhir+json"}
_KEY, _PATIENT = "KEYKEYKEY", "PATPATPAT"


class Kind(StrEnum):
    """What is sent."""

    ORU = "oru"
    ADT = "adt"
    FHIR = "fhir"


@dataclass(frozen=True)
class Item:
    """One thing to be sent. key: MSH-10, or the value of the Observation's identifier."""

    kind: Kind
    key: str
    content: bytes


class Templates:
    """Makes items of real recordings, just recorded; each with its own key."""

    def __init__(self, recordings: Sequence[Recording], prefix: str = "K") -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        fresh = [replace(recording, recorded_at=now) for recording in recordings]
        self._contents = {
            Kind.ORU: [to_oru(r, control_id=_KEY, sent_at=now, patient_id=_PATIENT) for r in fresh],
            Kind.FHIR: [_observation(r) for r in fresh],
            Kind.ADT: [_adt(now)],
        }
        self._numbers = count(1)
        self._prefix = prefix

    def item(self, kind: Kind, *, key: str | None = None, patient: str | None = None) -> Item:
        """The next one. patient: its number; one of 40 when not given."""
        number = next(self._numbers)
        key = key or f"{self._prefix}{number:06}"
        patient = patient or f"P{number % 40}"
        contents = self._contents[kind]
        content = contents[number % len(contents)].replace(_KEY.encode(), key.encode())
        return Item(kind, key, content.replace(_PATIENT.encode(), patient.encode()))


def _observation(recording: Recording) -> bytes:
    document = orjson.loads(client.observation_to_send(recording, _PATIENT))
    return orjson.dumps(document | {"identifier": [{"system": "urn:oid:1.2.3", "value": _KEY}]})


def _adt(now: datetime) -> bytes:
    time = f"{now:%Y%m%d%H%M%S}+0000"
    return (
        f"MSH|^~\\&|ADT|WARD|||{time}||ADT^A08^ADT_A01|{_KEY}|P|2.5.1\r"
        f"EVN|A08|{time}\rPID|1||{_PATIENT}^^^LOCAL^MR||DOE^JANE||19500101|F\rPV1|1|I|WARD^1^2\r"
    ).encode()


def example_recordings(folder: Path) -> list[Recording]:
    """The recordings of a folder with WFDB files, in the order of their names."""
    return [read(file) for file in sorted(folder.glob("*.hea"))]


@dataclass
class Ledger:
    """What senders know. answers: key -> the acknowledgement (AA), or `Observation/id` of a 200 or 201. refusals: the
    other answers, in order of arrival."""

    sent: dict[str, Item] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    refusals: list[bytes] = field(default_factory=list)
    resent: int = 0
    _lock: Lock = field(default_factory=Lock)

    def sends(self, item: Item) -> None:
        """To be called before each attempt."""
        with self._lock:
            self.resent += item.key in self.sent
            self.sent[item.key] = item

    def hears(self, item: Item, answer: bytes, *, accepted: bool) -> None:
        """To be called with each answer."""
        with self._lock:
            if accepted:
                self.answers[item.key] = answer
            else:
                self.refusals.append(answer)

    def unanswered(self) -> list[Item]:
        """What was sent and is not known to be safe."""
        with self._lock:
            return [item for key, item in self.sent.items() if key not in self.answers]


class MllpSender:
    """One blocking connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._framer = Framer(MAX_ANSWER_BYTES)
        self._frames: list[bytes] = []

    def exchange(self, *contents: bytes) -> list[bytes]:
        """Send all at once, give their answers in order. Raises OSError when the other side is gone or silent."""
        self._connection.sendall(b"".join(frame(content) for content in contents))
        return [self._answer() for _ in contents]

    def _answer(self) -> bytes:
        while not self._frames:
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionResetError("closed by the service")
            self._frames += [event.content for event in self._framer.feed(data) if isinstance(event, Frame)]
        return self._frames.pop(0)


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[MllpSender]:
    """A connection to an MLLP listener."""
    with socket.create_connection(address, timeout=ANSWER_SECONDS) as connection:
        yield MllpSender(connection)


def acknowledged(item: Item, answer: bytes) -> bool:
    """Whether this is AA for that very message."""
    return f"\rMSA|AA|{item.key}".encode() in answer


def send_mllp(ledger: Ledger, sender: MllpSender, *items: Item) -> None:
    """Send, pipelined when several, and note the answers."""
    for item in items:
        ledger.sends(item)
    for item, answer in zip(items, sender.exchange(*(item.content for item in items)), strict=True):
        ledger.hears(item, answer, accepted=acknowledged(item, answer))


def send_fhir(ledger: Ledger, http: httpx.Client, item: Item) -> httpx.Response:
    """Create the Observation and note the answer."""
    ledger.sends(item)
    response = http.post("/fhir/Observation", content=item.content, headers=FHIR_JSON)
    place = response.headers.get("Location", "").partition("/fhir/")[2].partition("/_history")[0]
    ledger.hears(item, place.encode() or response.content, accepted=response.status_code in (200, 201))
    return response


def stream(
    ledger: Ledger, address: tuple[str, int], templates: Templates, stop: Event, kinds: Sequence[Kind], window: int
) -> None:
    """Send `window` messages at a time over one connection, until told to stop or the service is gone."""
    numbers = count()
    try:
        with connected(address) as sender:
            while not stop.is_set():
                batch = [templates.item(kinds[next(numbers) % len(kinds)]) for _ in range(window)]
                send_mllp(ledger, sender, *batch)
    except OSError:
        return  # killed: what had no answer yet is in the ledger


def stream_fhir(ledger: Ledger, url: str, templates: Templates, stop: Event) -> None:
    """Post one Observation after the other, until told to stop or the service is gone."""
    with httpx.Client(base_url=url, timeout=ANSWER_SECONDS) as http:
        try:
            while not stop.is_set():
                send_fhir(ledger, http, templates.item(Kind.FHIR))
        except httpx.TransportError:
            return


def resend(ledger: Ledger, address: tuple[str, int], url: str, items: Sequence[Item]) -> None:
    """Send again, one after the other, as senders do with what has no answer."""
    with connected(address) as sender, httpx.Client(base_url=url, timeout=ANSWER_SECONDS) as http:
        for item in items:
            if item.kind is Kind.FHIR:
                send_fhir(ledger, http, item)
            else:
                send_mllp(ledger, sender, item)
