"""Whether answers reached their senders: stored for many messages at a time.

Nobody waits for it but the connection, which lets one of them be open; a transaction for each would cost a small
message as much as taking it in.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from audit.records import AcknowledgementState, UnitOfWork
from inference.errors import ServiceError
from interop.intake import Intake

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Batch:
    """Inbox ids and states that are stored together. storing: None until the first is there."""

    states: dict[int, AcknowledgementState] = field(default_factory=dict)
    storing: asyncio.Task[None] | None = None


class Marks:
    """Stores the acknowledgement states of messages. For one event loop."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._open = _Batch()
        self._turn = asyncio.Lock()

    def mark(self, inbox_id: int, state: AcknowledgementState) -> asyncio.Future[None]:
        """Done when the state is stored; when it could not be, that is logged."""
        batch = self._open
        batch.states[inbox_id] = state
        if batch.storing is None:
            batch.storing = asyncio.create_task(self._store(batch))
        return asyncio.shield(batch.storing)

    async def _store(self, batch: _Batch) -> None:
        async with self._turn:  # while one batch is written the next one grows
            self._open = _Batch()
            try:
                await self._intake.write(lambda uow: _set(uow, batch.states))
            except ServiceError as error:
                ids = sorted(batch.states)
                log.warning("acknowledgement states not stored", extra={"inbox_ids": ids, "code": error.code})


def _set(uow: UnitOfWork, states: dict[int, AcknowledgementState]) -> None:
    for inbox_id, state in states.items():
        uow.inbox.set_acknowledgement(inbox_id, state)
