"""What the serving process does by itself, again and again: heads of the audit chain, gauges, SQLite's log, the feature
cache's limit, rows for what another version has stored."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

import orjson

from audit.criteria import Row
from audit.engine import sqlite_file
from audit.log_file import LOG_BYTES
from audit.notices import OF_CONCERN
from audit.records import Document, QueueState
from audit.store import Store
from inference.errors import ServiceError
from interop.intake import Intake
from interop.lanes import Writer
from interop.monitoring.shown import KINDS as MONITORED
from interop.resources.index import index_rows
from interop.resources.search_parameters import SEARCH_PARAMETERS
from interop.settings import Settings

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 1.0  # at full load SQLite's log takes 40 MB in that time
HEADS_SECONDS = 60.0  # how much of the audit chain's end a cut could hide from the log
GAUGE_SECONDS = 5.0
PRUNE_SECONDS = 5.0  # the feature cache may be over its limit for so long
INDEX_SECONDS = 60.0  # how long a document that an older version stored is not found by what only this one searches by
PRUNE_ROWS = 64  # deleted in one transaction, about 1 ms


def rows_of(document: Document) -> Sequence[Row]:
    """What a stored document is found by."""
    return index_rows(orjson.loads(document.content))


def periodic(
    store: Store, intake: Intake, settings: Settings, behind: Executor
) -> tuple[Coroutine[Any, Any, None], ...]:
    """What has to be done again and again while the service runs. behind: for work that can wait."""
    clock = intake.clock

    async def heads() -> None:
        found = await intake.writer.between(lambda: store.write_heads(clock()))
        log.info("audit heads", extra={"heads": {chain: list(head) for chain, head in found.items()}})

    async def gauges() -> None:
        intake.metrics.queued(intake.lane.waiting)
        counts = await intake.read(lambda reader: reader.outbox.counts())
        for state in QueueState:
            intake.metrics.outbox(state, counts.get(state, 0))
        oldest = await intake.read(lambda reader: reader.inbox.oldest_waiting())
        intake.metrics.oldest_waiting(0.0 if oldest is None else (clock() - oldest).total_seconds())
        for report in await intake.read(lambda reader: reader.reports.states()):
            if report.kind in MONITORED:
                intake.metrics.monitored(report.kind, report.flag, (clock() - report.computed_at).total_seconds())
        since = clock() - OF_CONCERN
        unsent = await intake.read(lambda reader: reader.alerts.counts(since))
        intake.metrics.untold(unsent.items())

    async def prune() -> None:
        newest, pruned = settings.feature_cache_rows, PRUNE_ROWS
        while pruned == PRUNE_ROWS:
            pruned = await intake.write(lambda uow: uow.features.prune(newest, PRUNE_ROWS))

    async def index() -> None:
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(behind, store.leads):
            await loop.run_in_executor(behind, lambda: store.index_missed(clock(), SEARCH_PARAMETERS, rows_of))

    beside_others = sqlite_file(settings.database_url.get_secret_value()) is None
    return (
        *([repeat(INDEX_SECONDS, index)] if beside_others else ()),
        repeat(CHECKPOINT_SECONDS, partial(move_log, store, intake.writer, behind)),
        repeat(HEADS_SECONDS, heads),
        repeat(GAUGE_SECONDS, gauges),
        repeat(PRUNE_SECONDS, prune),
    )


async def move_log(store: Store, writer: Writer, behind: Executor) -> None:
    """Move SQLite's log into the database, so that it begins anew. It does only if nothing is left to move when the
    next commit comes, and under load one has come in the meantime: its pages are moved between two commits, in 2 ms.
    behind: for work that can wait. Raises StorageUnavailable, Overloaded."""
    found = await asyncio.get_running_loop().run_in_executor(behind, store.checkpoint)
    if found is not None and found.log_bytes > LOG_BYTES / 2:
        await writer.between(store.checkpoint)


async def repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` again and again; what our side fails at is logged and tried at the next turn."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except ServiceError as error:
            log.warning("periodic work failed", extra={"code": error.code})
