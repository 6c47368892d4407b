"""Empties the outbox: one connection and one task for each destination, so that none blocks another.

The outbox gives at most the oldest waiting message of a patient, so a patient's results arrive in order, urgent
patients first. AA settles a message. AR means never: dead letter. AE and time-outs are tried again with growing
pauses, `MAX_ATTEMPTS` times. A destination that cannot be reached at all costs its messages nothing: they were not
sent, so they wait until it is back. A retry keeps its MSH-10; the receiver drops what it has seen. Where several
processes share a database, one of them delivers.

The next message goes while the outcome of the last ones is being stored: a commit takes longer than an answer, and one
by one a busy service would deliver fewer results than it makes. Together they share a commit.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import orjson

from audit.records import AuditEntry, AuditEvent, QueueRow, UnitOfWork
from inference.errors import NotFound, ServiceError
from interop.intake import Intake
from interop.logs import correlation, new_correlation_id
from interop.mllp.sender import Acknowledgement, Sender, Unanswered, Unreachable
from interop.settings import Settings
from interop.telemetry import Kind

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0  # `wake` comes with every new row; the poll finds those whose pause is over
ANSWER_SECONDS = 30.0
MAX_ATTEMPTS = 12  # with the pauses below about three hours: a receiver's restart, a night shift's repair
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=30)
LONGEST_STORING_PAUSE = timedelta(seconds=10)  # for our own database to come back
BATCH = 500  # rows looked at in one go, over all destinations
UNSETTLED = 16  # of a destination; after a crash so many may be sent again


def pause_after(attempts: int) -> timedelta:
    """How long to wait after that many failures: doubling, bounded."""
    return min(FIRST_PAUSE * (1 << min(attempts - 1, 20)), LONGEST_PAUSE)


class Destination:
    """One receiver: its connection, and how often in a row it could not be reached."""

    def __init__(self, address: str, answer_seconds: float) -> None:
        host, _, port = address.rpartition(":")
        self.sender = Sender(host.strip("[]"), int(port), timeout_seconds=answer_seconds)
        self.task: asyncio.Task[None] | None = None
        self.unreachable = 0

    @property
    def idle(self) -> bool:
        """Whether a new batch may be given to it."""
        return self.task is None or self.task.done()


async def always() -> bool:
    """For a process that has its database to itself."""
    return True


class DeliveryWorker:
    """Runs while the service does. answer_seconds: how long a receiver may take to acknowledge. leads: whether this
    process is the one to deliver now; it may raise ServiceError."""

    def __init__(
        self,
        intake: Intake,
        settings: Settings,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        leads: Callable[[], Awaitable[bool]] = always,
    ) -> None:
        self._intake = intake
        self._leads = leads
        self._settings = settings
        self._answer_seconds = answer_seconds
        self._destinations: dict[str, Destination] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look at the outbox now; something was added."""
        self._wake.set()

    async def close(self) -> None:
        """Stop. A message that is under way stays in the outbox and goes again after the restart."""
        tasks = [self._task, *(destination.task for destination in self._destinations.values())]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for destination in self._destinations.values():
            await destination.sender.close()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                self._assign(await self._due())
            except ServiceError as error:
                log.warning("outbox not readable", extra={"code": error.code})
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _due(self) -> Sequence[QueueRow]:
        if not await self._leads():
            return ()
        now = self._intake.clock()
        # What a destination has in hand now may be settled while the outbox is read: it would be sent twice.
        busy = [address for address, destination in self._destinations.items() if not destination.idle]
        return await self._intake.read(lambda reader: reader.outbox.due(now, BATCH, busy))

    def _assign(self, rows: Sequence[QueueRow]) -> None:
        """Give each idle destination its rows, in the order in which they are due."""
        for address in dict.fromkeys(row.destination for row in rows if row.destination):
            destination = self._destinations.setdefault(address, Destination(address, self._answer_seconds))
            own = [row for row in rows if row.destination == address]
            destination.task = asyncio.create_task(self._deliver(destination, own))

    async def _deliver(self, destination: Destination, rows: Sequence[QueueRow]) -> None:
        correlation.set(new_correlation_id())
        unsettled = asyncio.Semaphore(UNSETTLED)
        async with asyncio.TaskGroup() as settling:
            for row in rows:
                await unsettled.acquire()
                if not await self._may_send():
                    return
                try:
                    with self._intake.tracing.span("deliver", {"ecg.analysis_id": row.analysis_id}, kind=Kind.CLIENT):
                        answer = await destination.sender.send(row.content, row.control_id)
                except Unreachable as error:
                    await self._back_off(destination, error)
                    return
                except Unanswered as error:
                    settling.create_task(self._settle(row, None, str(error)))
                    return
                destination.unreachable = 0
                settled = settling.create_task(self._settle(row, answer, f"{answer.code} {answer.text}".strip()))
                settled.add_done_callback(lambda _: unsettled.release())
        # A patient's next message is due only now.
        self.wake()

    async def _may_send(self) -> bool:
        try:
            return await self._leads()
        except ServiceError as error:
            log.warning("delivery is interrupted", extra={"code": error.code})
            return False

    async def _back_off(self, destination: Destination, error: Unreachable) -> None:
        destination.unreachable += 1
        self._intake.metrics.delivered("unreachable")
        pause = pause_after(destination.unreachable).total_seconds()
        log.warning("receiver cannot be reached", extra={"reason": str(error), "pause_seconds": pause})
        await asyncio.sleep(pause)

    async def _settle(self, row: QueueRow, answer: Acknowledgement | None, text: str) -> None:
        outcome = self._outcome(row, answer)
        self._intake.metrics.delivered(outcome)
        for attempt in itertools.count(1):
            try:
                await self._intake.write(lambda uow: self._store(uow, row, outcome, text))
                return
            except NotFound:
                return  # the write that seemed to fail has taken effect
            except ServiceError as error:
                # The destination stays busy meanwhile: read as due again, the row would be sent for ever.
                log.error("delivery state not stored", extra={"outbox_id": row.id, "code": error.code})
                await asyncio.sleep(min(pause_after(attempt), LONGEST_STORING_PAUSE).total_seconds())

    def _outcome(self, row: QueueRow, answer: Acknowledgement | None) -> str:
        if answer is not None and answer.accepted:
            return "sent"
        if (answer is not None and answer.final) or row.attempts + 1 >= MAX_ATTEMPTS:
            return "dead"
        return "retry"

    def _store(self, uow: UnitOfWork, row: QueueRow, outcome: str, text: str) -> None:
        if row.id is None:
            raise ValueError("an outbox row that is due has an id")
        now = self._intake.clock()
        if outcome == "retry":
            uow.outbox.failed(row.id, text, now + pause_after(row.attempts + 1))
            return
        event = AuditEvent.RESULT_DELIVERED if outcome == "sent" else AuditEvent.RESULT_DEAD
        if outcome == "sent":
            uow.outbox.sent(row.id)
        else:
            uow.outbox.failed(row.id, text, None)
        uow.trail.append(
            AuditEntry(
                event=event,
                recorded_at=now,
                subject=f"DiagnosticReport/{row.analysis_id}",
                correlation_id=correlation.get(),
                payload=orjson.dumps({"outbox_id": row.id, "attempts": row.attempts + 1}),
            )
        )
