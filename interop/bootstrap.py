"""The composition root: the one place that knows every concrete class and puts the service together."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from uuid6 import uuid7

from actions.analysis import Mode
from actions.analyze import Analyze
from actions.policy import load_policy
from audit.engine import sqlite_file
from audit.lock import hold_lock
from audit.records import AuditEntry, AuditEvent, QueueState, Reader
from audit.store import Store, open_store
from audit.upgrade import Upgrade, upgrade
from inference.artifact import find_model
from inference.classifier import Classifier, load_classifier
from inference.errors import ConfigurationError, ServiceError
from inference.prediction import ModelStatus
from interop.delivery import DeliveryWorker
from interop.health import Health
from interop.intake import Intake
from interop.lanes import Lane, Readers, Writer
from interop.logs import log_loop_error, new_correlation_id
from interop.metrics import Metrics
from interop.mllp.server import MllpServer
from interop.readiness import checks
from interop.serving import DRAIN_SECONDS, HttpServer, bind, settle_memory, tune_interpreter
from interop.settings import Settings
from interop.warm_up import warm_up
from interop.web import create_app

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 2.0  # keeps SQLite's log to a few MB at full load
HEADS_SECONDS = 60.0  # how much of the audit chain's end a cut could hide from the log
GAUGE_SECONDS = 5.0


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): ids sort by time."""
    return UUID(bytes=uuid7().bytes)


def load_analyzer(settings: Settings) -> tuple[Analyze, Classifier]:
    """The use case with the configured model and rules. Raises ModelInvalid, PolicyInvalid."""
    classifier = load_classifier(
        find_model(settings.model), backend=settings.backend.value, precision=settings.precision
    )
    analyzer = Analyze(
        classify=classifier,
        policy=load_policy(settings.rules),
        clock=now,
        ids=new_id,
        acute_window=settings.acute_window,
    )
    return analyzer, classifier


def effective_mode(settings: Settings, classifier: Classifier) -> Mode:
    """Live only if the operator says so and the model may: a candidate is silent unless it is allowed."""
    if classifier.model.status is ModelStatus.CANDIDATE and not settings.allow_candidate:
        return Mode.SILENT
    return settings.mode


def migrate(settings: Settings) -> Upgrade:
    """Bring the database to this version's schema. An SQLite file must not be in use: raises ConfigurationError."""
    url = settings.database_url.get_secret_value()
    with _held(url):
        return upgrade(url)


@contextmanager
def serving_store(settings: Settings) -> Iterator[Store]:
    """The store of the serving process: alone on an SQLite file, which is brought to the current schema first.

    Raises ConfigurationError (held by another process, not migrated), StorageUnavailable.
    """
    url = settings.database_url.get_secret_value()
    with _held(url):
        if sqlite_file(url):
            upgrade(url)
        with _opened(url) as store:
            store.reserve_log()
            yield store


@contextmanager
def existing_store(settings: Settings) -> Iterator[Store]:
    """The store for a command beside a running service: its short transactions wait their turn.

    Raises ConfigurationError when there is no database yet or it is not migrated, StorageUnavailable."""
    url = settings.database_url.get_secret_value()
    file = sqlite_file(url)
    if file and not file.exists():
        raise ConfigurationError(f"there is no database at {file} yet")
    with _opened(url) as store:
        yield store


@contextmanager
def _opened(url: str) -> Iterator[Store]:
    store = open_store(url, chain_id=str(new_id()))
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _held(url: str) -> Iterator[None]:
    file = sqlite_file(url)
    if file is None:
        yield
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold_lock(file):
        yield


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What a started service listens on and runs."""

    http: tuple[str, int]
    mllp: tuple[str, int]
    model: str
    model_status: str
    mode: str

    def as_json(self) -> bytes:
        """The ready line."""
        url = f"http://{self.http[0]}:{self.http[1]}"
        return orjson.dumps(
            {
                "ready": True,
                "http": url,
                "http_port": self.http[1],
                "mllp": f"{self.mllp[0]}:{self.mllp[1]}",
                "mllp_port": self.mllp[1],
                "model": self.model,
                "model_status": self.model_status,
                "mode": self.mode,
            }
        )


def serve(settings: Settings, on_ready: Callable[[Listening], None]) -> None:
    """Run the service until SIGTERM or SIGINT, then drain. Raises ConfigurationError, StorageUnavailable at start."""
    import uvloop

    tune_interpreter()
    listener = bind(settings.host, settings.http_port, "ECG_HTTP_PORT")
    analyzer, classifier = load_analyzer(settings)
    with serving_store(settings) as store, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, store, analyzer, classifier, listener, on_ready))


async def _serve(
    settings: Settings,
    store: Store,
    analyzer: Analyze,
    classifier: Classifier,
    listener: socket.socket,
    on_ready: Callable[[Listening], None],
) -> None:
    asyncio.get_running_loop().set_exception_handler(log_loop_error)
    mode = effective_mode(settings, classifier)
    async with _intake(store, analyzer, classifier, settings, mode) as intake:
        intake.metrics.model(classifier.model)
        await intake.decode(lambda: warm_up(analyzer, now()))
        await intake.write(lambda uow: uow.trail.append(_started(analyzer, classifier, mode)))
        async with AsyncExitStack() as stack:
            delivery = DeliveryWorker(intake, settings, leads=lambda: asyncio.to_thread(store.leads))
            delivery.start()
            stack.push_async_callback(delivery.close)
            mllp = MllpServer(intake, settings, delivery.wake)
            await mllp.start(settings.host, settings.mllp_port)
            stack.push_async_callback(mllp.close, DRAIN_SECONDS)
            for work in _periodic(store, intake):
                stack.push_async_callback(_cancelled, asyncio.create_task(work))
            listening = Listening(
                http=listener.getsockname()[:2],
                mllp=(settings.host, mllp.port),
                model=f"{classifier.model.name} {classifier.model.version}",
                model_status=classifier.model.status,
                mode=mode,
            )
            file = sqlite_file(settings.database_url.get_secret_value())
            ready = checks(store, intake, lambda: mllp.listening, file.parent if file else None)
            app = create_app(intake, settings, Health(ready))
            settle_memory()
            await HttpServer(app, lambda: on_ready(listening)).serve(sockets=[listener])


@asynccontextmanager
async def _intake(
    store: Store, analyzer: Analyze, classifier: Classifier, settings: Settings, mode: Mode
) -> AsyncIterator[Intake]:
    def read(query: Callable[[Reader], Any]) -> Any:
        with store.reader() as reader:
            return query(reader)

    lane, writer, readers = Lane(settings.queue_limit), Writer(store), Readers(read)
    try:
        yield Intake(
            analyzer=analyzer,
            lane=lane,
            writer=writer,
            readers=readers,
            metrics=Metrics(),
            clock=now,
            ids=new_id,
            mode=mode,
            storage_seconds=settings.storage_timeout.total_seconds(),
            classify_together=classifier.batch,
        )
    finally:
        for part in (lane, readers, writer):
            await asyncio.to_thread(part.close)
        await asyncio.to_thread(store.checkpoint)


def _started(analyzer: Analyze, classifier: Classifier, mode: Mode) -> AuditEntry:
    model, policy = classifier.model, analyzer.policy.info
    payload = {
        "model": {"name": model.name, "version": model.version, "status": model.status, "sha256": model.sha256},
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "mode": mode,
    }
    return AuditEntry(
        event=AuditEvent.SERVICE_STARTED,
        recorded_at=now(),
        subject="service",
        correlation_id=new_correlation_id(),
        payload=orjson.dumps(payload),
    )


def _periodic(store: Store, intake: Intake) -> tuple[Coroutine[Any, Any, None], ...]:
    async def checkpoint() -> None:
        await asyncio.to_thread(store.checkpoint)

    async def heads() -> None:
        found = await intake.writer.between(lambda: store.write_heads(now()))
        log.info("audit heads", extra={"heads": {chain: list(head) for chain, head in found.items()}})

    async def gauges() -> None:
        intake.metrics.queued(intake.lane.waiting)
        counts = await intake.read(lambda reader: reader.outbox.counts())
        for state in QueueState:
            intake.metrics.outbox(state, counts.get(state, 0))

    return (
        _repeat(CHECKPOINT_SECONDS, checkpoint),
        _repeat(HEADS_SECONDS, heads),
        _repeat(GAUGE_SECONDS, gauges),
    )


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` again and again; what our side fails at is logged and tried at the next turn."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except ServiceError as error:
            log.warning("periodic work failed", extra={"code": error.code})


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
