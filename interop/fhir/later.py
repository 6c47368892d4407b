"""`Prefer: respond-async`: accepted now, answered later (FHIR R4 async.html; the answer is a Bundle, as R5 has it).

What is accepted is a Bundle in the inbox: a single create is a transaction with one entry. It is kept before the 202
goes out, so that it survives a restart: what nobody has answered is taken up again. Twice taken up, an ECG with an
identifier is still stored once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
from fastapi import Response

from actions.analysis import Door
from audit.records import AcknowledgementState, InboxRow, ProcessingState, Received
from inference.errors import (
    EcgError,
    InternalError,
    ModelUnavailable,
    NotFound,
    Overloaded,
    ServiceError,
    StorageUnavailable,
)
from interop.errors import answer_to
from interop.fhir.exchange import Exchange
from interop.fhir.negotiation import FHIR_JSON, Preferences
from interop.fhir.outcome import outcome_of
from interop.intake import Intake
from interop.logs import correlation
from interop.media import media_type

log = logging.getLogger(__name__)

PATH = "$status"
# Where several processes share a database, the one that leads takes up what is older: its process must be gone.
ABANDONED = timedelta(minutes=15)
RETRY_SECONDS = 1  # an ECG takes a hundredth of that
# What passes. A defect of ours does not: taken up again it would fail again.
WAITED_OUT = (StorageUnavailable, ModelUnavailable, Overloaded)
MOST = 100  # taken up in one turn

Answered = Callable[[bytes, Exchange], Awaitable[bytes]]


class Later:
    """Accepts Bundles and answers them in the background. answered: the Bundle that answers another."""

    def __init__(self, intake: Intake, answered: Answered) -> None:
        self._intake = intake
        self._answered = answered
        self._running: dict[int, asyncio.Task[None]] = {}

    async def accept(self, content: bytes, exchange: Exchange) -> Response:
        """202 with the URL to ask at. Raises StorageUnavailable."""
        name, base = str(self._intake.ids()), exchange.base
        received = Received(
            door=Door.FHIR,
            content=content,
            # Links in the answer have the base that the client used, also after a restart under another address.
            media_type=f'{FHIR_JSON}; base="{base}"',
            received_at=self._intake.clock(),
            correlation_id=correlation.get(),
            control_id=name,
        )
        row = await self._intake.write(
            lambda uow: uow.inbox.add(received, ProcessingState.RECEIVED, AcknowledgementState.PENDING)
        )
        self._start(row, content, base, correlation.get())
        return Response(status_code=202, headers={"Content-Location": f"{base}/{PATH}/{name}"})

    async def status(self, name: str, exchange: Exchange) -> Response:
        """202 while it is under way, then the answer. Raises NotFound."""
        row = await self._intake.read(lambda store: _one(store.inbox.find(Door.FHIR, None, name)))
        if row.processing is ProcessingState.RECEIVED:
            return Response(status_code=202, headers={"X-Progress": "in progress", "Retry-After": str(RETRY_SECONDS)})
        status = 200 if row.error is None else int(row.error)
        return exchange.answer(row.answer or b"", status)

    async def resume(self, *, abandoned: bool) -> None:
        """Take up again what waits. abandoned: only what is so old that nobody else can be at it. Raises
        StorageUnavailable."""
        before = self._intake.clock() - (ABANDONED if abandoned else timedelta(0))
        rows = await self._intake.read(lambda store: store.inbox.waiting(Door.FHIR, before, MOST))
        for row in rows:
            if row.id not in self._running:
                log.info("taken up again", extra={"inbox": row.id})
                base = media_type(row.received.media_type)[1]["base"]
                self._start(row.id, row.received.content, base, row.received.correlation_id)

    def _start(self, row: int, content: bytes, base: str, correlation_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._run(row, content, base, correlation_id))
        self._running[row] = task
        task.add_done_callback(lambda _: self._running.pop(row, None))

    async def _run(self, row: int, content: bytes, base: str, correlation_id: str) -> None:
        correlation.set(correlation_id)  # of this task only
        exchange = Exchange(base=base, media_type=FHIR_JSON, preferences=Preferences())
        try:
            answer, error = await self._answered(content, exchange), None
        except WAITED_OUT as failure:
            # It waits on, and is taken up again.
            log.warning("an accepted Bundle could not be answered yet", extra={"code": failure.code, "inbox": row})
            return
        except EcgError as failure:
            answer, error = _refusal(failure)
        except Exception:  # nobody awaits this task: the client would ask at the status for ever
            log.exception("unexpected error", extra={"inbox": row})
            answer, error = _refusal(InternalError("an unexpected error, which we logged"))
        state = ProcessingState.ANALYSED if error is None else ProcessingState.FAILED
        await self._finish(row, state, answer, error)

    async def _finish(self, row: int, state: ProcessingState, answer: bytes, error: str | None) -> None:
        try:
            await self._intake.write(lambda uow: uow.inbox.finish(row, state, answer, error))
        except NotFound:
            log.info("another process was faster", extra={"inbox": row})
        except ServiceError as failure:
            log.warning("an answer could not be kept yet", extra={"code": failure.code, "inbox": row})


def _refusal(error: EcgError) -> tuple[bytes, str]:
    """The answer to an error, and its status."""
    return outcome_of(error, correlation.get()), str(answer_to(error).http_status)


def as_bundle(method: str, url: str, resource: bytes, **request: str | None) -> bytes:
    """A single change as a transaction of one, which what passes leaves undone: a batch would have an entry that says
    503, and be answered. resource: as text, which it keeps."""
    asked: dict[str, Any] = {"method": method, "url": url} | {name: v for name, v in request.items() if v is not None}
    return orjson.dumps(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": orjson.Fragment(resource), "request": asked}],
        }
    )


def _one(rows: Any) -> InboxRow:
    for row in rows:
        found: InboxRow = row
        return found
    raise NotFound("no such request")
