"""Received items and outbound messages."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, select, text, update

from audit.columns import as_key, letter, storable
from audit.driver import placeholder, run
from audit.insert import insert_if_absent
from audit.packed import pack_and_hash
from audit.records import AcknowledgementState, InboxRow, ProcessingState, QueueRow, QueueState, Received
from audit.schema import OPEN, inbox, outbox
from inference.errors import ConfigurationError, Duplicate, NotFound

# What every small message needs goes to the driver as it is written (`audit.driver`).
_HELD = "SELECT 1 FROM inbox WHERE door = {0} AND sender = {0} AND control_id = {0}"
_ACKNOWLEDGED = "UPDATE inbox SET acknowledgement = {0} WHERE id = {0}"
# Built once: building a statement takes several times as long as running it.
_FOUND = (
    select(inbox)
    .where(
        inbox.c.door == bindparam("of_door"),
        inbox.c.sender == bindparam("of_sender"),
        inbox.c.control_id == bindparam("of_control_id"),
    )
    .order_by(inbox.c.id.desc())
)
_ANSWERED = (
    update(inbox)
    .where(inbox.c.id == bindparam("of_id"))
    .values(acknowledgement=bindparam("new_acknowledgement"), answer=bindparam("new_answer"))
)
# The index on the few open rows gives the first of them at once.
_OLDEST_OPEN = select(inbox.c.received_at).where(text(OPEN)).order_by(inbox.c.id).limit(1)

_WAITING = outbox.c.state == QueueState.WAITING
_NOT_BUSY = outbox.c.destination.not_in(bindparam("busy", expanding=True))
_OLDEST = select(func.min(outbox.c.id)).where(_WAITING, _NOT_BUSY).group_by(outbox.c.destination, outbox.c.patient_key)
_DUE = (
    select(outbox)
    .where(
        outbox.c.id.in_(_OLDEST.scalar_subquery()),
        outbox.c.next_attempt_at.is_(None) | (outbox.c.next_attempt_at <= bindparam("due_at")),
    )
    .order_by(outbox.c.priority, outbox.c.id)
    .limit(bindparam("most"))
)


class SqlInbox:
    """`audit.records.Inbox` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        received: Received,
        processing: ProcessingState,
        acknowledgement: AcknowledgementState,
        *,
        analysis_id: str | None = None,
        answer: bytes | None = None,
        error: str | None = None,
    ) -> int:
        """Store one item, give back its id. Raises Duplicate for the same door, sender, control_id and content."""
        packed = received.packed or pack_and_hash(received.content)
        row = insert_if_absent(
            self._connection,
            inbox,
            {
                "door": received.door,
                "sender": as_key(received.sender or ""),
                "control_id": as_key(received.control_id) if received.control_id else None,
                "content_sha256": packed.sha256,
                "patient_key": as_key(received.patient_key) if received.patient_key else None,
                "media_type": storable(received.media_type),
                "received_at": received.received_at,
                "correlation_id": storable(received.correlation_id),
                "processing": processing,
                "acknowledgement": acknowledgement,
                "analysis_id": analysis_id,
                "error": None if error is None else storable(error),
                "answer": answer,
                "content": packed,
            },
        )
        if row is None:
            raise Duplicate("this item was received before")
        return int(row[0])

    def find(self, door: str, sender: str | None, control_id: str) -> Sequence[InboxRow]:
        """Every item with this control id of this sender, newest first."""
        wanted = {"of_door": door, "of_sender": as_key(sender or ""), "of_control_id": as_key(control_id)}
        held = _HELD.format(placeholder(self._connection.dialect))
        if run(self._connection, held, tuple(wanted.values())).fetchone() is None:  # nearly always
            return []
        return [_inbox_row(row) for row in self._connection.execute(_FOUND, wanted)]

    def get(self, id: int) -> InboxRow:
        """One item. Raises NotFound."""
        row = self._connection.execute(select(inbox).where(inbox.c.id == id)).first()
        if row is None:
            raise NotFound(f"no received item {id}")
        return _inbox_row(row)

    def list(self, limit: int) -> Sequence[InboxRow]:
        """The newest items, newest first."""
        rows = self._connection.execute(select(inbox).order_by(inbox.c.id.desc()).limit(limit))
        return [_inbox_row(row) for row in rows]

    def waiting(self, door: str, before: datetime, limit: int) -> Sequence[InboxRow]:
        """Items of a door that came before a time and wait for their analysis, oldest first."""
        open_ = (text(OPEN), inbox.c.door == door, inbox.c.received_at < before)
        rows = self._connection.execute(select(inbox).where(*open_).order_by(inbox.c.id).limit(limit))
        return [_inbox_row(row) for row in rows]

    def oldest_waiting(self) -> datetime | None:
        """When the oldest of the items that wait for their analysis came, None when none waits."""
        return self._connection.execute(_OLDEST_OPEN).scalar()

    def finish(self, id: int, processing: ProcessingState, answer: bytes | None, error: str | None) -> None:
        """An item that waited is processed. Raises NotFound where it does not wait any more."""
        this = (inbox.c.id == id, inbox.c.processing == ProcessingState.RECEIVED)
        changed = update(inbox).where(*this).values(processing=processing, answer=answer, error=error)
        self._changed(id, self._connection.execute(changed).rowcount)

    def set_answer(self, id: int, answer: bytes, acknowledgement: AcknowledgementState) -> None:
        """Record the answer. Raises NotFound."""
        changed = {"of_id": id, "new_answer": answer, "new_acknowledgement": acknowledgement}
        self._changed(id, self._connection.execute(_ANSWERED, changed).rowcount)

    def set_acknowledgement(self, id: int, acknowledgement: AcknowledgementState) -> None:
        """Record whether the answer reached the sender. Raises NotFound."""
        changed = _ACKNOWLEDGED.format(placeholder(self._connection.dialect))
        self._changed(id, run(self._connection, changed, (letter(acknowledgement), id)).rowcount)

    @staticmethod
    def _changed(id: int, rows: int) -> None:
        if rows != 1:
            raise NotFound(f"no received item {id}")


class SqlOutbox:
    """`audit.records.Outbox` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: QueueRow) -> int:
        """Queue one message; one without a destination is held. Raises Duplicate for a control_id queued before."""
        held = row.destination is None and row.state is QueueState.WAITING
        added = insert_if_absent(
            self._connection,
            outbox,
            {
                "state": QueueState.HELD if held else row.state,
                "destination": row.destination,
                "patient_key": as_key(row.patient_key),
                "priority": row.priority,
                "control_id": as_key(row.control_id),
                "analysis_id": row.analysis_id,
                "created_at": row.created_at,
                "attempts": row.attempts,
                "next_attempt_at": row.next_attempt_at,
                "error": row.error,
                "content": row.content,
            },
        )
        if added is None:
            raise Duplicate("a message with this control id was queued before")
        return int(added[0])

    def due(self, now: datetime, limit: int, busy: Collection[str] = ()) -> Sequence[QueueRow]:
        """The next messages: at most the oldest waiting one per (destination, patient_key); by priority, then age.
        busy: destinations of which none is wanted.

        The oldest one holds back the others of its patient also while it waits for its next attempt.
        """
        rows = self._connection.execute(_DUE, {"due_at": now, "most": limit, "busy": list(busy)})
        return [_queue_row(row) for row in rows]

    def sent(self, id: int) -> None:
        """It was accepted. Raises NotFound where no message with this id waits."""
        self._attempted(id, state=QueueState.SENT, error=None, next_attempt_at=None)

    def failed(self, id: int, error: str, next_attempt_at: datetime | None) -> None:
        """It was not: try again at that time, or None: it is dead. Raises NotFound where none with this id waits."""
        state = QueueState.DEAD if next_attempt_at is None else QueueState.WAITING
        self._attempted(id, state=state, error=storable(error), next_attempt_at=next_attempt_at)

    def list(self, state: QueueState | None, limit: int) -> Sequence[QueueRow]:
        """Newest first."""
        query = select(outbox).order_by(outbox.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(outbox.c.state == state)
        return [_queue_row(row) for row in self._connection.execute(query)]

    def counts(self) -> Mapping[QueueState, int]:
        """How many messages are in each state that has any."""
        rows = self._connection.execute(select(outbox.c.state, func.count()).group_by(outbox.c.state))
        return {QueueState(state): number for state, number in rows}

    def retry(self, id: int, destination: str | None, now: datetime) -> None:
        """Make a dead or held one wait again, with a fresh count of attempts, to `destination` if given.

        Raises NotFound where no dead or held message has this id, ConfigurationError where it has no destination.
        """
        stopped = and_(outbox.c.id == id, outbox.c.state.in_((QueueState.DEAD, QueueState.HELD)))
        row = self._connection.execute(select(outbox.c.destination).where(stopped)).first()
        if row is None:
            raise NotFound(f"no dead or held message {id}")
        target = destination or row.destination
        if target is None:
            raise ConfigurationError(f"message {id} has no destination; name one")
        again = {"state": QueueState.WAITING, "destination": target, "attempts": 0, "next_attempt_at": now}
        self._connection.execute(update(outbox).where(stopped).values(again))

    def _attempted(self, id: int, **values: object) -> None:
        waiting = and_(outbox.c.id == id, _WAITING)
        counted = update(outbox).where(waiting).values(attempts=outbox.c.attempts + 1, **values)
        if self._connection.execute(counted).rowcount != 1:
            raise NotFound(f"no outbound message {id} waits")


def _inbox_row(row: Row[Any]) -> InboxRow:
    received = Received(
        door=row.door,
        content=row.content,
        media_type=row.media_type,
        received_at=row.received_at,
        correlation_id=row.correlation_id,
        sender=row.sender or None,
        control_id=row.control_id,
        patient_key=row.patient_key,
    )
    return InboxRow(
        id=row.id,
        received=received,
        content_sha256=row.content_sha256,
        processing=ProcessingState(row.processing),
        acknowledgement=row.acknowledgement,
        analysis_id=row.analysis_id,
        answer=row.answer,
        error=row.error,
    )


def _queue_row(row: Row[Any]) -> QueueRow:
    return QueueRow(
        destination=row.destination,
        patient_key=row.patient_key,
        priority=row.priority,
        control_id=row.control_id,
        content=row.content,
        analysis_id=row.analysis_id,
        created_at=row.created_at,
        id=row.id,
        state=QueueState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        error=row.error,
    )
