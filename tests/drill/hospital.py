"""What a drill is made with: two services on one PostgreSQL, a receiver of results, and senders that send each item to
whichever service answers, until it is accepted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from time import monotonic, sleep

import httpx

from inference.recording import Recording
from tests.e2e.archived import OWNER, Archived, archived
from tests.e2e.conftest import Service, command, running
from tests.e2e.faults import free_port, receiving
from tests.e2e.traffic import Item, Kind, Ledger, Templates, connected, resend, send_fhir, send_mllp
from tests.interop.mllp.receiver import Receiver

SERVICES = 2
SENDERS: tuple[tuple[Kind, ...], ...] = ((Kind.ORU, Kind.ADT), (Kind.ORU,), (Kind.FHIR,))
PAUSE_SECONDS = 0.2  # between two items of a sender
RETRY_SECONDS = 0.2  # sooner than a real sender would
READY_SECONDS = 120.0
ARCHIVE_SECONDS = 10  # archive_timeout; docs/continuity.md advises 60

Told = Callable[[str], None]


class Hospital:
    """All of it. login: the database user of now and its password. accepted: when each item was acknowledged."""

    def __init__(self, folder: Path, server: Archived, receiver: Receiver, templates: Templates, password: str) -> None:
        self.folder = folder
        self.server = server
        self.receiver = receiver
        self.login = (OWNER, password)
        self.outbound = ""
        self.ledger = Ledger()
        self.accepted: dict[str, float] = {}
        self.moments: list[float] = []
        self._templates = templates
        self._lock = Lock()
        self._given_up = False
        self._running: list[ExitStack | None] = [None] * SERVICES
        self.services: list[Service | None] = [None] * SERVICES

    @property
    def url(self) -> str:
        """For `ECG_DATABASE_URL`."""
        user, password = self.login
        return self.server.url(password, user)

    def start(self, place: int) -> None:
        """Start one of the services."""
        folder = self.folder / f"service-{place + 1}"
        folder.mkdir(exist_ok=True)
        stack = ExitStack()
        settings = {"database_url": self.url, "outbound_mllp": self.outbound, "storage_timeout": "2s"}
        self.services[place] = stack.enter_context(running(folder, **settings))
        self._running[place] = stack

    def end(self, place: int, how: Callable[[Service], object]) -> None:
        """Stop or kill it; senders go elsewhere meanwhile."""
        service, stack = self.services[place], self._running[place]
        assert service is not None
        assert stack is not None
        self.services[place] = None
        how(service)
        stack.close()

    def stop_all(self) -> None:
        """As `kubectl scale --replicas=0` does."""
        for place in range(SERVICES):
            self.end(place, Service.stop)

    def start_all(self) -> None:
        """The reverse."""
        for place in range(SERVICES):
            self.start(place)

    def run(self, *arguments: str) -> None:
        """An `ecg-interop` command on the database; it must succeed."""
        done = command(*arguments, folder=self.folder, database_url=self.url)
        assert done.returncode == 0, done.stderr

    def wait_until_whole(self) -> None:
        """Every service says that it is ready."""
        until = monotonic() + READY_SECONDS
        while not all(service and _is_ready(service) for service in self.services):
            assert monotonic() < until, "not ready again"
            sleep(0.1)

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Senders at work; at the end everything that was begun is accepted."""
        stop = Event()
        threads = [Thread(target=self._send_until, args=(stop, kinds, place)) for place, kinds in enumerate(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        except BaseException:
            self._given_up = True
            raise
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def send_again(self, since: float) -> None:
        """All that was acknowledged since then, as an ECG management system does for a stretch of time."""
        service = next(service for service in self.services if service)
        items = [item for key, item in self.ledger.sent.items() if self.accepted[key] >= since]
        resend(self.ledger, service.mllp, service.url, items)
        self.accepted |= dict.fromkeys((item.key for item in items), monotonic())

    def sent_again(self) -> int:
        """Results that the receiver has had more than once, by their MSH-10."""
        return sum(number - 1 for number in Counter(self.receiver.received).values())

    def _send_until(self, stop: Event, kinds: Sequence[Kind], first: int) -> None:
        turns = count(first)
        while not stop.is_set():
            for kind in kinds:
                self._persist(self._templates.item(kind), turns)
                sleep(PAUSE_SECONDS)

    def _persist(self, item: Item, turns: Iterator[int]) -> None:
        until = monotonic() + 2 * READY_SECONDS
        while item.key not in self.ledger.answers and monotonic() < until and not self._given_up:
            service = self.services[next(turns) % SERVICES]
            with suppress(OSError, httpx.TransportError):
                if service is not None:
                    _send(self.ledger, service, item)
            if item.key not in self.ledger.answers:
                sleep(RETRY_SECONDS)
        with self._lock:
            self.accepted[item.key] = monotonic()
            self.moments.append(self.accepted[item.key])


def _send(ledger: Ledger, service: Service, item: Item) -> None:
    if item.kind is Kind.FHIR:
        with httpx.Client(base_url=service.url, timeout=10) as http:
            send_fhir(ledger, http, item)
    else:
        with connected(service.mllp) as sender:
            send_mllp(ledger, sender, item)


def _is_ready(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/ready", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def hospital(recordings: Sequence[Recording]) -> Iterator[Hospital]:
    """Started, migrated and empty."""
    password, port = "of-the-first-day", free_port()
    with TemporaryDirectory(prefix="ecg-drill-") as folder, ExitStack() as stack:
        server = stack.enter_context(archived(password, ARCHIVE_SECONDS))
        receiver = stack.enter_context(receiving(port))
        found = Hospital(Path(folder), server, receiver, Templates(recordings, prefix="E"), password)
        found.outbound = f"127.0.0.1:{port}"
        found.run("db", "upgrade")
        found.start_all()
        try:
            yield found
        finally:
            for place, service in enumerate(found.services):
                if service is not None:
                    found.end(place, Service.kill)
