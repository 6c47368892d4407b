"""The composition root: the one place that knows every concrete class and puts the service together."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from uuid6 import uuid7

from actions.analysis import Mode
from actions.analyze import Analyze
from actions.policy import load_policy
from audit.engine import sqlite_file
from audit.lock import hold_lock
from audit.records import AuditEntry, AuditEvent, Reader, UnitOfWork
from audit.store import Store, open_store
from audit.upgrade import Upgrade, downgrade, upgrade
from inference.artifact import POINTER_FILE, find_model, find_models
from inference.classifier import Classifier, load_classifier
from inference.errors import ConfigurationError, EcgError
from inference.pointer import last_change
from inference.prediction import ModelInfo, ModelStatus
from interop.champion import WATCH_SECONDS, Champion, Release, Watch, pointed_release
from interop.change_log import recorded_rules
from interop.delivery import DeliveryWorker
from interop.feature_cache import MemoryAndTable
from interop.fhir.later import Later
from interop.health import Health
from interop.intake import Intake, no_shadow
from interop.lanes import Lane, Readers, Writer
from interop.logs import log_loop_error, new_correlation_id
from interop.metrics import Metrics
from interop.mllp.server import MllpServer
from interop.notifying import NoticeWorker, channels_of
from interop.periodic import periodic, repeat, rows_of
from interop.readiness import checks
from interop.resources.devices import software_version
from interop.resources.search_parameters import INDEX_DEFINITIONS, SEARCH_PARAMETERS
from interop.serving import DRAIN_SECONDS, HttpServer, bind, give_way, settle_memory, tune_interpreter
from interop.settings import Settings
from interop.shadow import THREADS, Shadow, decide_alike
from interop.telemetry import NO_TRACING, start_tracing
from interop.warm_up import warm_up
from interop.web import create_app, installed_version

log = logging.getLogger(__name__)

RESUME_SECONDS = 2.0  # how long after a start what was accepted before it waits


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): ids sort by time."""
    return UUID(bytes=uuid7().bytes)


def load_analyzer(settings: Settings) -> tuple[Analyze, Champion]:
    """The use case with the configured model and rules. Raises ModelInvalid, PolicyInvalid."""
    champion = Champion(load_model(settings, find_model(settings.model)))
    analyzer = Analyze(
        classify=champion,
        policy=load_policy(settings.rules),
        clock=now,
        ids=new_id,
        acute_window=settings.acute_window,
        silent_candidates=not settings.allow_candidate,
    )
    return analyzer, champion


def load_model(settings: Settings, folder: Path, threads: int | None = None) -> Classifier:
    """A released model as this process runs it. Raises ModelInvalid, ModelUnavailable, ConfigurationError."""
    return load_classifier(folder, settings.backend.value, settings.precision, threads)


def load_shadow(settings: Settings, serving: Classifier) -> Classifier | None:
    """The model that runs in shadow mode, verified like the one that serves; None where there is none. One that serves
    already is no error: it was promoted, and the service has to start. Raises ModelInvalid, ModelUnavailable,
    ConfigurationError: somebody named the model, and waits for figures of it."""
    if settings.shadow_model is None:
        return None
    try:
        shadow = load_model(settings, find_model(settings.shadow_model), threads=THREADS)
    except EcgError as error:
        raise type(error)(f"ECG_SHADOW_MODEL: {error.message}", element=error.element) from error
    if decide_alike(serving, shadow):
        log.warning(
            "the model of ECG_SHADOW_MODEL is the one that serves: nothing is compared",
            extra={"model": f"{shadow.model.name} {shadow.model.version}"},
        )
    return shadow


def effective_mode(settings: Settings, model: ModelInfo) -> Mode:
    """Live only if the operator says so and the model may: a candidate is silent unless it is allowed."""
    return settings.mode if may_speak(settings, model) else Mode.SILENT


def may_speak(settings: Settings, model: ModelInfo) -> bool:
    """Whether the results of a model may reach a clinician."""
    return settings.allow_candidate or model.status is not ModelStatus.CANDIDATE


def migrate(settings: Settings) -> Upgrade:
    """Bring the database to this version's schema. An SQLite file must not be in use: raises ConfigurationError."""
    url = settings.database_url.get_secret_value()
    with _held(url):
        done = upgrade(url)
        with _opened(url) as store:
            _index(store)
        return done


def migrate_back(settings: Settings, revision: str) -> Upgrade:
    """Bring the database to the schema of an older version. Raises ConfigurationError."""
    url = settings.database_url.get_secret_value()
    with _held(url):
        return downgrade(url, revision)


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
            if sqlite_file(url):
                _index(store)
            elif not store.serves_index():
                raise ConfigurationError("the search index is that of an older version: run `ecg-interop db upgrade`")
            store.reserve_log()
            yield store


def _index(store: Store) -> None:
    """Have documents found by what this version searches by."""
    if not store.serves_index():
        log.info("making the search index")
        store.index_anew(now(), rows_of)
    else:
        store.index_missed(now(), SEARCH_PARAMETERS, rows_of)


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
    store = open_store(url, chain_id=str(new_id()), definitions=INDEX_DEFINITIONS)
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
    pointer = champion_pointer(settings)
    served = pointed_release(pointer) if pointer else None  # read before the loading: a change meanwhile is seen
    analyzer, champion = load_analyzer(settings)
    shadow = load_shadow(settings, champion.serving())
    with serving_store(settings) as store, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, store, analyzer, champion, shadow, served, listener, on_ready))


async def _serve(
    settings: Settings,
    store: Store,
    analyzer: Analyze,
    champion: Champion,
    shadow: Classifier | None,
    served: Release | None,
    listener: socket.socket,
    on_ready: Callable[[Listening], None],
) -> None:
    asyncio.get_running_loop().set_exception_handler(log_loop_error)
    mode, channels = effective_mode(settings, champion.model), channels_of(settings)
    async with _intake(store, analyzer, champion, shadow, settings) as intake:
        intake.metrics.model(champion.model)
        await intake.decode(lambda: warm_up(intake.analyzer, now()))
        rules = _other_rules(analyzer, await intake.read(recorded_rules))  # before the start, which names them, too
        started = _started(settings, analyzer, champion.model, mode, shadow.model if shadow else None)
        await intake.write(lambda uow: _append(uow, *rules, started))
        async with AsyncExitStack() as stack:
            delivery = DeliveryWorker(intake, settings, leads=lambda: asyncio.to_thread(store.leads))
            delivery.start()
            stack.push_async_callback(delivery.close)
            notices = NoticeWorker(intake, channels, settings.public_url)
            notices.start()
            stack.push_async_callback(notices.close)
            mllp = MllpServer(intake, settings, delivery.wake)
            await mllp.start(settings.host, settings.mllp_port)
            stack.push_async_callback(mllp.close, DRAIN_SECONDS)
            behind = stack.enter_context(ThreadPoolExecutor(1, "behind", initializer=give_way))
            for work in (*periodic(store, intake, settings, behind), *_watching(settings, intake, champion, served)):
                stack.push_async_callback(_cancelled, asyncio.create_task(work))
            listening = Listening(
                http=listener.getsockname()[:2],
                mllp=(settings.host, mllp.port),
                model=f"{champion.model.name} {champion.model.version}",
                model_status=champion.model.status,
                mode=mode,
            )
            file = sqlite_file(settings.database_url.get_secret_value())
            ready = checks(store, intake, lambda: mllp.listening, file.parent if file else None)
            app = create_app(intake, settings, Health(ready, lambda: {"model": champion.model}))
            stack.push_async_callback(app.state.fhir_servers.close)
            again = asyncio.create_task(repeat(RESUME_SECONDS, partial(_resume, store, app.state.later, file)))
            stack.push_async_callback(_cancelled, again)
            settle_memory()
            await HttpServer(app, lambda: on_ready(listening)).serve(sockets=[listener])


@asynccontextmanager
async def _intake(
    store: Store, analyzer: Analyze, champion: Champion, shadow: Classifier | None, settings: Settings
) -> AsyncIterator[Intake]:
    def read(query: Callable[[Reader], Any]) -> Any:
        with store.reader() as reader:
            return query(reader)

    lane, writer, readers = Lane(settings.queue_limit), Writer(store), Readers(read)
    metrics = Metrics()
    tracing = start_tracing(installed_version()) if settings.tracing else NO_TRACING
    cache = MemoryAndTable(
        served=champion.serving,
        find=store.known_features if settings.feature_cache_rows else None,
        may_hang=sqlite_file(settings.database_url.get_secret_value()) is None,
        count=metrics.looked_up,
        limit=settings.feature_cache_memory,
        software=software_version(),
    )
    beside = Shadow(shadow, analyzer=analyzer, line=lane, metrics=metrics) if shadow else None
    intake = Intake(
        analyzer=replace(analyzer, cache=cache) if settings.has_feature_cache else analyzer,
        lane=lane,
        writer=writer,
        readers=readers,
        metrics=metrics,
        clock=now,
        ids=new_id,
        mode=settings.mode,
        storage_seconds=settings.storage_timeout.total_seconds(),
        classify_together=champion.batch,
        may_speak=lambda: may_speak(settings, champion.model),
        card=lambda: champion.serving().card,
        shadow=beside.offer if beside else no_shadow,
        tracing=tracing,
    )
    try:
        async with beside.running(intake.write) if beside else nullcontext():
            yield intake
    finally:
        for part in (lane, cache, readers, writer, tracing):
            await asyncio.to_thread(part.close)
        await asyncio.to_thread(store.checkpoint)


async def _resume(store: Store, later: Later, file: Path | None) -> None:
    """Take up what was accepted and not answered. Alone on an SQLite file that is all; of several processes the one
    that leads looks after what another has left."""
    if file is not None or await asyncio.to_thread(store.leads):
        await later.resume(abandoned=file is None)


def _started(
    settings: Settings, analyzer: Analyze, model: ModelInfo, mode: Mode, shadow: ModelInfo | None
) -> AuditEntry:
    """change: the last one of the pointer, which may have been made while no service ran."""
    pointer = champion_pointer(settings)
    payload = {
        "model": model,
        "policy": analyzer.policy.info,
        "mode": mode,
        "shadow": shadow,
        "change": last_change(pointer.parent) if pointer else None,
    }
    return _service_entry(AuditEvent.SERVICE_STARTED, payload)


def _append(uow: UnitOfWork, *entries: AuditEntry) -> None:
    for entry in entries:
        uow.trail.append(entry)


def _other_rules(analyzer: Analyze, recorded: Mapping[str, Any] | None) -> tuple[AuditEntry, ...]:
    """The entry for rules that are not those of before; none at the very first start. recorded: what they were."""
    found = asdict(analyzer.policy.info)
    if recorded is None or recorded == found:
        return ()
    return (_service_entry(AuditEvent.RULES_ACTIVATED, {"policy": found, "before": recorded}),)


def champion_pointer(settings: Settings) -> Path | None:
    """The pointer file that decides what is served; None where `ECG_MODEL` or the package does."""
    try:
        pointer = find_models(settings.model) / POINTER_FILE
    except ConfigurationError:
        return None
    return pointer if pointer.is_file() else None


def _watching(
    settings: Settings, intake: Intake, champion: Champion, served: Release | None
) -> tuple[Coroutine[Any, Any, None], ...]:
    """The watch on the pointer file, where there is one."""
    pointer = champion_pointer(settings)
    if pointer is None or served is None:
        return ()

    async def confirm(before: ModelInfo, after: ModelInfo) -> None:
        payload = {
            "model": after,
            "before": before,
            "change": last_change(pointer.parent),
            "mode": effective_mode(settings, after),
        }
        entry = _service_entry(AuditEvent.MODEL_ACTIVATED, payload)
        await intake.write(lambda uow: uow.trail.append(entry))

    watch = Watch(pointer, champion, partial(load_model, settings), confirm, intake.metrics, served)
    return (repeat(WATCH_SECONDS, watch.look),)


def _service_entry(event: AuditEvent, payload: Mapping[str, object]) -> AuditEntry:
    return AuditEntry(
        event=event,
        recorded_at=now(),
        subject="service",
        correlation_id=new_correlation_id(),
        payload=orjson.dumps(payload),
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
