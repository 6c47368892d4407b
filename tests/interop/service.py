"""The HTTP application over real threads, with a model that says what the test wants and a store in memory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from fastapi import FastAPI

from actions.analysis import Mode
from actions.analyze import Analyze
from actions.policy import load_policy
from audit.records import UnitOfWork
from inference.errors import EcgError
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
from tests.fakes_store import FakeUnitOfWork
from tests.interop.client import Client

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "00184_hr.hea"
FHIR_JSON = "application/fhir+json"


@dataclass
class MemoryStore:
    """A store in memory that undoes a job that raises. `failure` is raised by every commit while it is set."""

    content: FakeUnitOfWork = field(default_factory=FakeUnitOfWork)
    failure: Exception | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """One job after the other."""
        if self.failure is not None:
            raise self.failure
        with self.lock:
            return [self._one(job) for job in jobs]

    def read(self, query: Callable[[Any], Any]) -> Any:
        """A query while nothing is written."""
        with self.lock:
            return query(self.content)

    def _one(self, job: Job) -> Any:
        before = deepcopy(self.content)
        try:
            return job(cast(UnitOfWork, self.content))
        except EcgError as error:
            self.content = before
            return error


@dataclass
class Service:
    """What a test talks to and looks into."""

    client: Client
    app: FastAPI
    intake: Intake
    classify: FakeClassify
    store: MemoryStore

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
    store = MemoryStore()
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
