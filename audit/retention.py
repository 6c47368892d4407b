"""Deleting what is older than a hospital wants to keep it: payloads of audit entries, contents of received items.

Neither breaks what rests on them: the chain hashes the digest of a payload, and the same item is recognised by the
digest of its content; both digests stay. Some payloads stay too: those that name the heads of other chains, by which a
cut end is found, those that say what retention did, and those that say by which model, rules and mode results were made
at what time. None of them holds anything of a patient. Items that still wait for their analysis are kept.

What is due is looked for in a snapshot, so that nobody waits for the search; the deletions are transactions of a few
milliseconds with pauses between them. Interrupted, the next run goes on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, select, tuple_, update

from audit.packed import pack
from audit.records import AuditEvent, ProcessingState
from audit.retention_records import Expired, RetentionLimits
from audit.schema import audit_entries, inbox

PAGE_ROWS = 1000  # keys that are looked for together
# A running service waits for a transaction of ours no longer than for a large commit of its own.
BATCH_SECONDS = 0.015
# Then it gets its turn: SQLite has no queue, and who waits looks again after some milliseconds, growing to 25.
PAUSE_SECONDS = 0.05

KEPT_PAYLOADS = (
    AuditEvent.CHAIN_STARTED,
    AuditEvent.RETENTION_APPLIED,
    AuditEvent.SERVICE_STARTED,
    AuditEvent.MODEL_ACTIVATED,
    AuditEvent.RULES_ACTIVATED,
    AuditEvent.MODE_CHANGED,
)
WAITING = (ProcessingState.RECEIVED, ProcessingState.CLAIMED)
NOTHING = pack(b"")  # shorter than the frame of any content

_entries = audit_entries.c


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of content. due: the rows to empty. place: the key in the order in which they are emptied. size: of what
    is deleted. empty: how a row is emptied, by the last parts of its place."""

    due: Any
    place: tuple[Any, ...]
    size: Any
    empty: Callable[[tuple[Any, ...]], Any]


def expired(connection: Connection, limits: RetentionLimits) -> Expired:
    """How much there is to delete."""
    payloads, payload_bytes = _sum(connection, _payloads(limits))
    items, item_bytes = _sum(connection, _items(limits))
    return Expired(payloads=payloads, payload_bytes=payload_bytes, items=items, item_bytes=item_bytes)


def forget(
    reader: Engine, writer: Engine, limits: RetentionLimits, pause: Callable[[float], None] = time.sleep
) -> Iterator[float]:
    """Delete it. Gives the seconds that each transaction took, one after the other."""
    for kind in (_payloads(limits), _items(limits)):
        if kind is not None:
            for keys in _due(reader, kind):
                yield from _emptied(writer, kind, keys, pause)


def _payloads(limits: RetentionLimits) -> _Kind | None:
    if limits.payloads_before is None:
        return None
    old = (_entries.recorded_at < limits.payloads_before, _entries.payload.is_not(None))
    return _Kind(
        due=and_(*old, _entries.event.not_in(KEPT_PAYLOADS)),
        place=(_entries.recorded_at, _entries.chain_id, _entries.seq),
        size=func.length(_entries.payload),
        empty=lambda key: (
            update(audit_entries).where(_entries.chain_id == key[1], _entries.seq == key[2]).values(payload=None)
        ),
    )


def _items(limits: RetentionLimits) -> _Kind | None:
    if limits.items_before is None:
        return None
    old = (inbox.c.received_at < limits.items_before, func.length(inbox.c.content) > len(NOTHING.frame))
    return _Kind(
        due=and_(*old, inbox.c.processing.not_in(WAITING)),
        place=(inbox.c.id,),
        size=func.length(inbox.c.content),
        # Again: it may have been taken up since it was looked for.
        empty=lambda key: (
            update(inbox).where(inbox.c.id == key[0], inbox.c.processing.not_in(WAITING)).values(content=NOTHING)
        ),
    )


def _sum(connection: Connection, kind: _Kind | None) -> tuple[int, int]:
    if kind is None:
        return 0, 0
    count, size = connection.execute(select(func.count(), func.sum(kind.size)).where(kind.due)).one()
    return int(count), int(size or 0)


def _due(reader: Engine, kind: _Kind) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The keys of all rows to empty, page by page: each begins where the one before ended, for rows that were emptied
    years ago stand before the others."""
    after: tuple[Any, ...] | None = None
    while True:
        query: Select[Any] = select(*kind.place).where(kind.due).order_by(*kind.place).limit(PAGE_ROWS)
        if after is not None:
            query = query.where(tuple_(*kind.place) > tuple_(*after))
        with reader.connect() as connection, connection.begin():
            keys = [tuple(row) for row in connection.execute(query)]
        if not keys:
            return
        yield keys
        after = keys[-1]


def _emptied(
    writer: Engine, kind: _Kind, keys: Sequence[tuple[Any, ...]], pause: Callable[[float], None]
) -> Iterator[float]:
    done = 0
    while done < len(keys):
        with writer.begin() as connection:
            started = time.perf_counter()
            if connection.dialect.name == "sqlite":
                # Else the bytes stay in the file until their place is needed.
                connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
            while done < len(keys) and time.perf_counter() - started < BATCH_SECONDS:
                connection.execute(kind.empty(keys[done]))
                done += 1
        yield time.perf_counter() - started
        pause(PAUSE_SECONDS)
