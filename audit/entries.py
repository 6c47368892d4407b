"""The audit trail, to be read: one entry, or a page of them, the newest first."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, false, or_, select, true, tuple_

from audit.cursor import Key, seal, unseal
from audit.records import EntryPage, EntrySearch, StoredEntry
from audit.schema import audit_entries
from audit.times import at_microseconds, microseconds
from inference.errors import NotFound, SearchInvalid

_entries = audit_entries.c
_COLUMNS = (
    _entries.chain_id,
    _entries.seq,
    _entries.event,
    _entries.recorded_at,
    _entries.subject,
    _entries.correlation_id,
    _entries.payload,
)
_PLACE = (_entries.recorded_at, _entries.chain_id, _entries.seq)


class SqlEntries:
    """`audit.records.Entries` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, chain_id: str, seq: int) -> StoredEntry:
        """One entry. Raises NotFound."""
        query = select(*_COLUMNS).where(_entries.chain_id == chain_id, _entries.seq == seq)
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound("no such entry")
        return _entry(row)

    def search(self, search: EntrySearch) -> EntryPage:
        """A page of them. Raises SearchInvalid for an unusable cursor."""
        asked = ("entries", search.periods, search.subjects, search.events)
        query = select(*_COLUMNS).where(_within(search))
        if search.subjects is not None:
            query = query.where(_entries.subject.in_(search.subjects))
        if search.events is not None:
            query = query.where(_entries.event.in_(search.events))
        if search.after is not None:
            query = query.where(tuple_(*_PLACE) < tuple_(*_place(unseal(search.after, asked))))
        ordered = query.order_by(*(column.desc() for column in _PLACE)).limit(search.count + 1)
        rows = self._connection.execute(ordered).all()
        shown = rows[: search.count]
        if len(rows) == len(shown) or not shown:
            return EntryPage(entries=tuple(_entry(row) for row in shown), next=None)
        last = shown[-1]
        cursor = seal([microseconds(last.recorded_at), last.chain_id, float(last.seq)], asked)
        return EntryPage(entries=tuple(_entry(row) for row in shown), next=cursor)


def _within(search: EntrySearch) -> Any:
    if search.periods is None:
        return true()
    return or_(false(), *(_period(*period) for period in search.periods))


def _period(begin: datetime | None, end: datetime | None) -> Any:
    bounds = [
        *([] if begin is None else [_entries.recorded_at >= begin]),
        *([] if end is None else [_entries.recorded_at < end]),
    ]
    return and_(true(), *bounds)


def _place(values: list[Key]) -> tuple[datetime, str, int]:
    match values:
        case [float(at), str(chain_id), float(seq)] if seq.is_integer() and 0 <= seq < 2**53:
            return at_microseconds(at), chain_id, int(seq)
    raise SearchInvalid("this page link cannot be read")


def _entry(row: Any) -> StoredEntry:
    payload = None if row.payload is None else bytes(row.payload)
    return StoredEntry(**{**row._mapping, "payload": payload})
