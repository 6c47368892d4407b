"""The HTTP application over real threads, with a model that says what the test wants and a store in memory."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI

from actions.analysis import Mode
from actions.analyze import Analyze
from actions.policy import load_policy
from audit.store import Store, open_store
from audit.upgrade import upgrade
from inference.formats.wfdb import read
from inference.prediction import Prediction
from inference.recording import Recording
from interop.health import Health
from interop.intake import Intake
from interop.lanes import BatchStore, Job, Lane, Readers, Writer
from interop.metrics import Metrics
from interop.resources.ecg_document import render_ecg
from interop.resources.identifiers import Identifier
from interop.settings import Settings
from interop.web import create_app
from tests.fakes import NOW, FakeClassify, FixedClock, SequentialIds, make_prediction
from tests.interop.client import Client

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "00184_hr.hea"
FHIR_JSON = "application/fhir+json"


@cache
def _template() -> Path:
    """A migrated SQLite file, to be copied."""
    file = Path(tempfile.mkdtemp(prefix="ecg-template-")) / "ecg.sqlite"
    upgrade(f"sqlite:///{file}")
    atexit.register(shutil.rmtree, file.parent)
    return file


@dataclass
class FileStore:
    """A real store in a file of its own. `failure` is raised by every commit while it is set."""

    store: Store
    failure: Exception | None = None

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """As the store does it."""
        if self.failure is not None:
            raise self.failure
        return self.store.run_batch(jobs)

    def read(self, query: Callable[[Any], Any]) -> Any:
        """A query on a snapshot."""
        with self.store.reader() as reader:
            return query(reader)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What an SQL query gives."""
        with self.store._engines.reader.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def count(self, type: str) -> int:
        """How many resources of a type are current."""
        return int(self.rows(f"SELECT count(*) FROM documents WHERE type = '{type}' AND is_current")[0][0])

    @property
    def events(self) -> list[str]:
        """The events of the audit trail, without that of its own beginning."""
        query = "SELECT event FROM audit_entries WHERE event <> 'chain.started' ORDER BY seq"
        return [event for (event,) in self.rows(query)]


@contextmanager
def file_store() -> Iterator[FileStore]:
    """An empty store."""
    with tempfile.TemporaryDirectory(prefix="ecg-store-") as folder:
        file = Path(folder) / "ecg.sqlite"
        shutil.copy(_template(), file)
        store = open_store(f"sqlite:///{file}", chain_id="chain-a")
        try:
            yield FileStore(store)
        finally:
            store.close()


@dataclass
class Service:
    """What a test talks to and looks into."""

    client: Client
    app: FastAPI
    intake: Intake
    classify: FakeClassify
    store: FileStore

    def metric(self, line: str) -> float:
        """The value of one sample, such as `ecg_received_total{door="fhir"}`; 0 when there is none."""
        text = self.intake.metrics.exposition()[0].decode()
        found = [rest for name, _, rest in (entry.rpartition(" ") for entry in text.splitlines()) if name == line]
        return float(found[0]) if found else 0.0


@contextmanager
def running(
    prediction: Prediction | None = None,
    *,
    mode: Mode = Mode.LIVE,
    batches: BatchStore | None = None,
    read_store: Callable[[Callable[[Any], Any]], Any] | None = None,
    health: Health | None = None,
    **settings: Any,
) -> Iterator[Service]:
    """A service; its model always gives `prediction` (default: MI at 0.83)."""
    with file_store() as store:
        yield from _running(store, prediction, mode, batches, read_store, health, settings)


def _running(
    store: FileStore,
    prediction: Prediction | None,
    mode: Mode,
    batches: BatchStore | None,
    read_store: Callable[[Callable[[Any], Any]], Any] | None,
    health: Health | None,
    settings: dict[str, Any],
) -> Iterator[Service]:
    classify = FakeClassify(prediction or make_prediction(MI=0.83))
    ids, clock = SequentialIds(), FixedClock()
    lane, writer = Lane(settings.pop("lane_limit", 64)), Writer(batches or store)
    readers = Readers(read_store or store.read)
    intake = Intake(
        analyzer=Analyze(classify=classify, policy=load_policy(None), clock=clock, ids=ids),
        lane=lane,
        writer=writer,
        readers=readers,
        metrics=Metrics(),
        clock=clock,
        ids=ids,
        mode=mode,
    )
    app = create_app(intake, Settings(_env_file=None, **settings), health or Health({}))
    try:
        yield Service(Client(app), app, intake, classify, store)
    finally:
        for part in (lane, readers, writer):
            part.close()


def real_ecg() -> Recording:
    """PTB-XL ecg_id 184 as if it had been recorded just now."""
    found = read(EXAMPLE)
    return Recording(found.signal, found.sampling_rate, recorded_at=NOW, age=74.0, sex=found.sex)


def flat_ecg() -> Recording:
    """Nobody could read this."""
    return Recording(np.zeros((12, 5000), np.float32), 500.0, recorded_at=NOW)


def observation(
    recording: Recording,
    *,
    identifier: str | None = "ECG-1",
    system: str = "urn:oid:1.2.3",
    patient: str = "Patient/1",
    **changed: Any,
) -> bytes:
    """The Observation that an ECG management system would send. changed: members of the JSON."""
    identifiers = [] if identifier is None else [Identifier(identifier, system)]
    subject = {"reference": patient}
    _, body = render_ecg(recording, id="client-id", subject=subject, identifiers=identifiers, issued=NOW)
    return orjson.dumps(orjson.loads(body.content) | changed) if changed else body.content


def matrix(recording: Recording) -> list[list[float]]:
    """`ecg_signal` of /predict."""
    return [[round(float(value), 3) for value in lead] for lead in recording.signal]
