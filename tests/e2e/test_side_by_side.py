"""A rolling update on one PostgreSQL: the next version migrates while this one serves, both work side by side, the
processes are exchanged one after the other behind a balancer, and one goes back."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import httpx
import pytest

from audit.schema import REVISION
from tests.e2e.balancer import Balancer, balancing
from tests.e2e.conftest import ROOT, Service, command, command_of, migrated, running
from tests.e2e.inspection import Findings, Inspection
from tests.e2e.next_version import PARAMETER, next_version
from tests.e2e.traffic import Kind, Ledger, Templates, example_recordings, resend, stream, stream_fhir

pytestmark = pytest.mark.slow

LATER = f"{int(REVISION) + 1:04}"
ENDPOINT_SECONDS = 1.0  # preStop of deploy/k8s: until a process that is to end gets no new connections
FOUND_SECONDS = 60.0
WINDOWS = (1, 4)  # messages at a time, of each connection by MLLP


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next_version(tmp_path_factory.mktemp("next"))


@pytest.fixture
def database(postgresql: str, tmp_path: Path) -> str:
    return migrated(postgresql, tmp_path)


@pytest.fixture
def templates(examples: Path) -> Templates:
    return Templates(example_recordings(examples), prefix="R")


class Senders:
    """Devices by MLLP and an EHR by FHIR: they connect again when a connection ends, and repeat what had no answer."""

    def __init__(self, mllp: Balancer, http: Balancer, templates: Templates) -> None:
        self.ledger = Ledger()
        self._stop = Event()
        self._address, self._url = mllp.address, f"http://127.0.0.1:{http.address[1]}"
        kinds = (Kind.ORU, Kind.ADT)
        works = (
            *(partial(stream, self.ledger, self._address, templates, self._stop, kinds, window) for window in WINDOWS),
            partial(stream_fhir, self.ledger, self._url, templates, self._stop),
        )
        self._threads = [Thread(target=self._again, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def _again(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            work()
            sleep(0.05)

    def stop(self) -> None:
        """No more is sent."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def finish(self) -> list[str]:
        """Stop, and send again what has no answer; gives the keys of that."""
        self.stop()
        waiting = self.ledger.unanswered()
        resend(self.ledger, self._address, self._url, waiting)
        return [item.key for item in waiting]


def ready(service: Service) -> bool:
    return httpx.get(f"{service.url}/ready").status_code == 200


def http_of(service: Service) -> tuple[str, int]:
    return ("127.0.0.1", int(service.ready["http_port"]))


def found_by_conclusion(service: Service) -> int:
    return total(service, **{PARAMETER: "Findings,No assessed"})


def reports(service: Service) -> int:
    return total(service)


def total(service: Service, **parameters: str) -> int:
    answer = httpx.get(f"{service.url}/fhir/DiagnosticReport", params={**parameters, "_summary": "count"})
    return int(answer.raise_for_status().json()["total"])


@pytest.mark.timeout(300)
def test_a_rolling_update_loses_doubles_and_refuses_nothing(
    tmp_path: Path, database: str, program: Path, templates: Templates
) -> None:
    folders = iter([tmp_path / name for name in ("a", "b", "c", "d")])

    def start(stack: ExitStack, code: Path = ROOT) -> Service:
        folder = next(folders)
        folder.mkdir()
        return stack.enter_context(running(folder, code, database_url=database))

    with ExitStack() as stack:
        old = [start(stack), start(stack)]
        mllp = stack.enter_context(balancing(*(one.mllp for one in old)))
        http = stack.enter_context(balancing(*(http_of(one) for one in old)))
        senders = Senders(mllp, http, templates)
        stack.callback(senders.stop)
        sleep(1.0)

        done = command_of(program, "db", "upgrade", folder=tmp_path, database_url=database)
        assert done.stdout == f"schema {REVISION} -> {LATER}\n", done.stderr
        assert all(ready(one) for one in old)

        serving = list(old)
        for leaving in old:
            coming = start(stack, program)
            assert ready(coming)
            serving = [one for one in serving if one is not leaving] + [coming]
            mllp.backends = [one.mllp for one in serving]
            http.backends = [http_of(one) for one in serving]
            sleep(ENDPOINT_SECONDS)
            assert leaving.stop() == 0
        sleep(1.0)
        unanswered = senders.finish()

        assert senders.ledger.refusals == []
        assert senders.ledger.unanswered() == []
        assert Inspection(database, unknown=[PARAMETER]).findings(senders.ledger) == Findings()
        # A process that ends answers what it has read. What was on its way to it is sent again on the next connection.
        assert len(unanswered) <= len(old) * sum(WINDOWS)
        # What this version has stored beside the next one is found by what only the next one searches by.
        deadline = monotonic() + FOUND_SECONDS
        while found_by_conclusion(serving[0]) < reports(serving[0]) and monotonic() < deadline:
            sleep(0.2)
        assert found_by_conclusion(serving[0]) == reports(serving[0]) > 20


def test_an_older_version_starts_on_the_later_schema_and_finds_what_the_later_one_stored(
    tmp_path: Path, database: str, program: Path, templates: Templates
) -> None:
    """`kubectl rollout undo`, or a pod of the older version that is made anew in the middle of an update."""
    assert command_of(program, "db", "upgrade", folder=tmp_path, database_url=database).returncode == 0
    first, second = templates.item(Kind.FHIR), templates.item(Kind.FHIR)
    headers = {"Content-Type": "application/fhir+json"}
    with running(tmp_path, program, database_url=database) as later:
        assert httpx.post(f"{later.url}/fhir/Observation", content=first.content, headers=headers).status_code == 201
    undone = command("db", "upgrade", folder=tmp_path, database_url=database)
    assert undone.stdout == f"schema {LATER} -> {LATER}\n", undone.stderr
    with running(tmp_path, database_url=database) as older:
        assert ready(older)
        assert httpx.post(f"{older.url}/fhir/Observation", content=second.content, headers=headers).status_code == 201
        for item in (first, second):
            found = httpx.get(f"{older.url}/fhir/Observation", params={"identifier": f"urn:oid:1.2.3|{item.key}"})
            assert found.json()["total"] == 1
    assert command("audit", "verify", folder=tmp_path, database_url=database).returncode == 0


def test_a_later_version_that_breaks_older_ones_is_kept_from_them(tmp_path: Path, database: str) -> None:
    breaking = next_version(tmp_path / "breaking", works_with=LATER)
    with running(tmp_path, database_url=database) as older:
        assert ready(older)
        assert command_of(breaking, "db", "upgrade", folder=tmp_path, database_url=database).returncode == 0
        answer = httpx.get(f"{older.url}/ready")
        assert answer.status_code == 503
        assert f"schema {LATER}, on which this version ({REVISION}) cannot work" in answer.text
    refused = command("serve", folder=tmp_path, database_url=database)
    assert (refused.returncode, REVISION in refused.stderr) == (1, True)
    back = command_of(breaking, "db", "downgrade", REVISION, "--yes", folder=tmp_path, database_url=database)
    assert back.stdout == f"schema {LATER} -> {REVISION}\n", back.stderr
    with running(tmp_path, database_url=database) as older:
        assert ready(older)


def test_an_sqlite_file_goes_to_the_next_version_and_back(tmp_path: Path, program: Path, templates: Templates) -> None:
    first, second = templates.item(Kind.FHIR), templates.item(Kind.FHIR)
    headers = {"Content-Type": "application/fhir+json"}
    for code, item in ((ROOT, first), (program, None), (ROOT, second)):
        with running(tmp_path, code) as service:
            if item:
                url = f"{service.url}/fhir/Observation"
                assert httpx.post(url, content=item.content, headers=headers).status_code == 201
    with running(tmp_path, program) as later:
        assert found_by_conclusion(later) == reports(later) == 2
