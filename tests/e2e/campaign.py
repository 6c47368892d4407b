"""Kill -9 at random moments under load, restart, compare: used short in the tests and long by `make soak`."""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import httpx

from audit.records import QueueState
from inference.recording import Recording
from tests.e2e.conftest import Service, running
from tests.e2e.inspection import Findings, Inspection
from tests.e2e.traffic import Item, Kind, Ledger, Templates, resend, stream, stream_fhir
from tests.interop.mllp.receiver import Receiver

# (kinds in turn, messages sent before their answers are read): an ECG cart, a gateway that pipelines, an ADT feed.
CONNECTIONS: tuple[tuple[tuple[Kind, ...], int], ...] = (
    ((Kind.ORU,), 1),
    ((Kind.ORU, Kind.ADT), 4),
    ((Kind.ADT,), 1),
    ((Kind.ADT,), 8),
)
FHIR_CLIENTS = 2
DELIVERY_SECONDS = 60.0
MAX_RESULTS = 1_000_000


@dataclass
class Campaign:
    """One database through many kills. folder: of the log and an SQLite file. settings: of the service, among them
    `outbound_mllp`, where `finish` expects the results. starts: seconds from each start to ready."""

    folder: Path
    recordings: Sequence[Recording]
    settings: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    kills: int = 0
    starts: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._templates = Templates(self.recordings, prefix=f"S{self.seed}-")
        self._inspection: Inspection | None = None

    def round(self, longest: float) -> Findings:
        """Start, look, send again what has no answer, stream, kill within `longest` seconds. Gives what it saw."""
        with running(self.folder, **self.settings) as service:
            found = self._look(service)
            threads, stop = self._stream(service)
            sleep(self._random.uniform(0.05, longest))
            service.kill()
            stop.set()
            for thread in threads:
                thread.join()
        self.kills += 1
        return found

    def finish(self, receiver: Receiver) -> Findings:
        """Start a last time; everything is sent until it is answered, its results are delivered; drain and look."""
        with running(self.folder, **self.settings) as service:
            found = self._look(service)
            resend(self.ledger, service.mllp, service.url, self.ledger.unanswered())
            found.lost += [f"{item.key} is refused for ever" for item in self.ledger.unanswered()]
            found.lost += _undelivered(service, receiver)
            assert service.stop() == 0
        assert self._inspection is not None
        return found + self._inspection.findings(self.ledger)

    def _look(self, service: Service) -> Findings:
        self.starts.append(service.start_seconds)
        self._inspection = self._inspection or Inspection(service.database)
        return self._inspection.findings(self.ledger)

    def _stream(self, service: Service) -> tuple[list[Thread], Event]:
        stop = Event()
        threads = [
            Thread(target=stream, args=(self.ledger, service.mllp, self._templates, stop, kinds, window))
            for kinds, window in CONNECTIONS
        ]
        threads += [
            Thread(target=stream_fhir, args=(self.ledger, service.url, self._templates, stop))
            for _ in range(FHIR_CLIENTS)
        ]
        threads.append(Thread(target=self._again, args=(service, self.ledger.unanswered())))
        for thread in threads:
            thread.start()
        return threads, stop

    def _again(self, service: Service, items: Sequence[Item]) -> None:
        """Beside the new ones, those of before the last kill."""
        with suppress(OSError, httpx.TransportError):  # all that a sender sees of a killed service
            resend(self.ledger, service.mllp, service.url, items)


def _undelivered(service: Service, receiver: Receiver) -> list[str]:
    """The results that did not arrive, or not in the order of the patient's ECGs."""
    until = monotonic() + DELIVERY_SECONDS
    with service.store() as store:
        while monotonic() < until:
            with store.reader() as reader:
                rows = reader.outbox.list(None, MAX_RESULTS)[::-1]
            if all(row.state is QueueState.SENT for row in rows):
                break
            sleep(0.1)
    place = {control_id: n for n, control_id in reversed(list(enumerate(receiver.received)))}
    missing = [f"result {row.control_id} ({row.state})" for row in rows if row.control_id not in place]
    last: dict[str, int] = {}
    for row in rows:
        if row.control_id in place and place[row.control_id] < last.get(row.patient_key, -1):
            missing.append(f"result {row.control_id} came before an older one of its patient")
        last[row.patient_key] = place.get(row.control_id, -1)
    return missing
