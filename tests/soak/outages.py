"""The disk is full, or the database gone, for a minute under load: senders are refused so that they try again, and
everything goes on by itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic, sleep

import httpx

from inference.recording import Recording
from tests.e2e.conftest import Service, migrated, running
from tests.e2e.faults import Server, SmallDisk, server, small_disk
from tests.e2e.inspection import Findings, Inspection
from tests.e2e.traffic import ANSWER_SECONDS, Item, Kind, Ledger, Templates, connected, send_fhir, send_mllp

DISK_MEGABYTES = 400
CALM_SECONDS = 5.0  # of traffic before the fault and after it
RETRY_SECONDS = 0.5  # sooner than a real sender would
RECOVERY_SECONDS = 60.0
MLLP_SENDERS = 3

Told = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What one fault did. failing: the names that /ready gave. recovery: seconds from the fault's end to ready."""

    name: str
    seconds: float
    sent: int
    refused: int
    failing: str
    alive: bool
    recovery: float
    findings: Findings


def fail_in_every_way(seconds: float, recordings: Sequence[Recording], tell: Told) -> Iterator[Outcome]:
    """Each fault for so long, on a service and a database of its own. Raises PermissionError without a right to mount,
    after all other faults."""
    for name, fault in (("stopped", _stopped), ("crashed", _crashed), ("frozen", _frozen)):
        tell(f"PostgreSQL {name} for {seconds:g} s")
        with TemporaryDirectory(prefix="ecg-soak-") as folder, server() as database:
            url = migrated(database.url, Path(folder))
            yield _outage(f"PostgreSQL {name}", seconds, Path(folder), recordings, fault(database), database_url=url)
    tell(f"SQLite on a full disk for {seconds:g} s")
    with TemporaryDirectory(prefix="ecg-soak-") as folder, small_disk(Path(folder), DISK_MEGABYTES) as disk:
        yield _outage("SQLite, disk full", seconds, Path(folder), recordings, _full(disk))


@contextmanager
def _stopped(database: Server) -> Iterator[None]:
    database.stop()
    yield
    database.start()


@contextmanager
def _crashed(database: Server) -> Iterator[None]:
    database.crash()
    yield
    database.start()


def _frozen(database: Server) -> AbstractContextManager[None]:
    return database.frozen()


@contextmanager
def _full(disk: SmallDisk) -> Iterator[None]:
    disk.fill()
    yield
    disk.empty()


def _outage(
    name: str,
    seconds: float,
    folder: Path,
    recordings: Sequence[Recording],
    fault: AbstractContextManager[None],
    **settings: str,
) -> Outcome:
    ledger, templates = Ledger(), Templates(recordings)
    with running(folder, **settings) as service:
        with _persistent_senders(service, ledger, templates):
            sleep(CALM_SECONDS)
            with fault:
                sleep(seconds)
                failing = _failing(service)
            recovery = _until_ready(service)
            sleep(CALM_SECONDS)
        alive = service.process.poll() is None
        findings = Inspection(service.database).findings(ledger)
        findings.lost += [f"{item.key} was never taken" for item in ledger.unanswered()]
        alive = alive and service.stop() == 0
    refused = len(ledger.refusals)
    return Outcome(name, seconds, len(ledger.sent), refused, ", ".join(failing), alive, recovery, findings)


def _failing(service: Service) -> list[str]:
    answered = httpx.get(f"{service.url}/ready", timeout=ANSWER_SECONDS)
    return [] if answered.status_code == 200 else list(answered.json()["failing"])


def _until_ready(service: Service) -> float:
    started = monotonic()
    while _failing(service) and monotonic() - started < RECOVERY_SECONDS:
        sleep(0.1)
    return monotonic() - started


@contextmanager
def _persistent_senders(service: Service, ledger: Ledger, templates: Templates) -> Iterator[None]:
    """Senders that send each item until it is accepted, also after the end is called for."""
    stop = Event()

    def run(kinds: Sequence[Kind], send: Callable[[Item], None]) -> None:
        while not stop.is_set():
            for kind in kinds:
                _persist(ledger, templates.item(kind), send)

    def by_mllp(item: Item) -> None:
        with connected(service.mllp) as sender:
            send_mllp(ledger, sender, item)

    def by_fhir(item: Item) -> None:
        with httpx.Client(base_url=service.url, timeout=ANSWER_SECONDS) as http:
            send_fhir(ledger, http, item)

    threads = [Thread(target=run, args=((Kind.ORU, Kind.ADT), by_mllp)) for _ in range(MLLP_SENDERS)]
    threads.append(Thread(target=run, args=((Kind.FHIR,), by_fhir)))
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(stop.set)
        yield


def _persist(ledger: Ledger, item: Item, send: Callable[[Item], None]) -> None:
    until = monotonic() + 2 * RECOVERY_SECONDS + ANSWER_SECONDS
    while item.key not in ledger.answers and monotonic() < until:
        with suppress(OSError, httpx.TransportError):
            send(item)
        if item.key not in ledger.answers:
            sleep(RETRY_SECONDS)
