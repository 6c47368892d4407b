"""Versioned documents, their index rows, and unique business identifiers."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, select, text, tuple_, update
from sqlalchemy import Row as Result

from audit.columns import as_key
from audit.conditions import shown as shown_documents
from audit.criteria import IndexRow, RangeRow, Row, Search
from audit.cursor import seal, unseal
from audit.driver import placeholder, run
from audit.included import linked_to
from audit.insert import insert_absent, insert_all, insert_if_absent
from audit.packed import Packed
from audit.records import Document, Page
from audit.schema import claims, document_index, document_ranges, documents
from audit.search import find
from audit.times import at_microseconds, microseconds
from inference.errors import Duplicate, Gone, NotFound, SearchInvalid, VersionConflict

LAST_VERSION = 2**31  # what the column holds
_HELD = "SELECT owner, digest FROM claims WHERE scope = {0} AND key = {0}"
_INDEXES = (document_index, document_ranges)


class SqlDocuments:
    """`audit.records.Documents` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, document: Document, index: Sequence[Row], *, silent: bool = False) -> None:
        """Store version 1. Raises Duplicate when type/id exists."""
        self.create_all([(document, index)], silent=silent)

    def create_all(self, new: Sequence[tuple[Document, Sequence[Row]]], *, silent: bool = False) -> None:
        """Store several with few statements, which takes half the time of one by one.

        Raises Duplicate when one of them exists; of the others some may be stored then, so that the unit of work has to
        be given up.
        """
        if insert_absent(self._connection, documents, [_row(document, silent) for document, _ in new]) < len(new):
            raise Duplicate("such a document exists")
        self._insert_rows(new)

    def replace(self, document: Document, index: Sequence[Row]) -> None:
        """Store the version that follows the current one, whose rows go; a deleted one has no rows. It is silent where
        that was. Raises VersionConflict when the current version is another."""
        of_this = (documents.c.type == document.type, documents.c.id == as_key(document.id))
        before = and_(*of_this, documents.c.version == document.version - 1, documents.c.is_current)
        # The row is locked until the end of the transaction: of two that replace one version, one finds none.
        changed = update(documents).where(before).values(is_current=False).returning(documents.c.silent)
        silent = self._connection.execute(changed).scalar_one_or_none()
        if silent is None:
            raise VersionConflict(f"version {document.version - 1} is not the current one of this {document.type}")
        insert_all(self._connection, documents, [_row(document, silent)])
        self.index_anew([(document, () if document.deleted else index)])

    def index_anew(self, new: Sequence[tuple[Document, Sequence[Row]]]) -> None:
        """Exchange the rows that documents are found by."""
        for type_ in sorted({document.type for document, _ in new}):
            ids = [as_key(document.id) for document, _ in new if document.type == type_]
            for table in _INDEXES:
                self._connection.execute(delete(table).where(table.c.type == type_, table.c.id.in_(ids)))
        self._insert_rows(new)

    def read(self, type: str, id: str, version: int | None = None) -> Document:
        """The current or the named version. Raises NotFound, Gone."""
        wanted = documents.c.is_current if version is None else documents.c.version == version
        found = self._one(type, id, wanted)
        if found is None:
            raise NotFound(f"no such {type}")
        if found.deleted:
            raise Gone(f"this {type} was deleted")
        return found

    def newest(self, type: str, id: str) -> Document | None:
        """The current version, also one that says that it was deleted."""
        return self._one(type, id, documents.c.is_current)

    def search(self, search: Search) -> Page:
        """The documents that match. Raises SearchInvalid for an unusable cursor."""
        found = find(self._connection, search)
        matches = self.current(search.type, found.ids)
        return Page(
            documents=matches, total=found.total, next=found.next, included=self._included(search, found.ids, matches)
        )

    def history(self, type: str, id: str | None, *, since: datetime | None, count: int, after: str | None) -> Page:
        """Every version of one document or of all of a type, newest first, deletions too; silent ones are left out of
        the history of a type. Raises SearchInvalid for an unusable cursor."""
        asked = ("history", type, id, since)
        # The versions of one are in its key; by time they would be looked for among those of all others.
        by_time = () if id is not None else (documents.c.last_updated, documents.c.id)
        place = (*by_time, documents.c.version)
        query = select(documents).where(documents.c.type == type)
        query = query.where(documents.c.silent.is_(False) if id is None else documents.c.id == as_key(id))
        if since is not None:
            query = query.where(documents.c.last_updated >= since)
        if after is not None:
            query = query.where(tuple_(*place) < tuple_(*_version_place(unseal(after, asked))[-len(place) :]))
        ordered = query.order_by(*(column.desc() for column in place)).limit(count + 1)
        rows = self._connection.execute(ordered).all()
        shown = rows[:count]
        more = len(rows) > len(shown) > 0
        last = [microseconds(shown[-1].last_updated), shown[-1].id, float(shown[-1].version)] if more else None
        return Page(
            documents=tuple(_document(row) for row in shown),
            total=None,
            next=None if last is None else seal(last, asked),
        )

    def alone(self, scope: str) -> None:
        """Wait until no other transaction holds `scope`, and hold it to the end of this one. On SQLite a transaction
        that writes is alone anyway."""
        if self._connection.dialect.name == "postgresql":
            key = int.from_bytes(hashlib.sha256(scope.encode()).digest()[:8], signed=True)
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def claim(self, scope: str, key: str, owner: str, digest: str) -> tuple[str, str] | None:
        """Take a unique key (a business identifier) for `owner` (`Type/id`) with a content digest.

        None: the key is now ours. Else the (owner, digest) that already hold it. Exact under concurrency.
        """
        place = {"scope": as_key(scope), "key": as_key(key)}
        held = self._holder(place)
        if held is None:
            if insert_if_absent(self._connection, claims, {**place, "owner": owner, "digest": digest}) is not None:
                return None
            held = self._holder(place)
            assert held is not None, "a claim is given up by its owner only, in the same transaction"
        return held

    def owner(self, scope: str, key: str) -> str | None:
        """Who has claimed a key, as far as this transaction sees."""
        held = self.held(scope, key)
        return None if held is None else held[0]

    def held(self, scope: str, key: str) -> tuple[str, str] | None:
        """Who has claimed a key and with which digest, as far as this transaction sees."""
        return self._holder({"scope": as_key(scope), "key": as_key(key)})

    def reclaim(self, scope: str, owner: str, digest: str, keys: Sequence[str], before: Sequence[str]) -> None:
        """From now on `owner` holds just these keys, with this digest; before: those that it held. Raises Duplicate
        where another holds one."""
        mine = and_(claims.c.scope == as_key(scope), claims.c.owner == owner)
        self._connection.execute(delete(claims).where(mine, claims.c.key.in_([as_key(key) for key in before])))
        for key in sorted(keys):
            if self.claim(scope, key, owner, digest) is not None:
                raise Duplicate("the identifier belongs to another resource")

    def _holder(self, place: Mapping[str, str]) -> tuple[str, str] | None:
        held = _HELD.format(placeholder(self._connection.dialect))
        row = run(self._connection, held, tuple(place.values())).fetchone()
        return None if row is None else (row[0], row[1])

    def _one(self, type: str, id: str, wanted: Any) -> Document | None:
        query = select(documents).where(documents.c.type == type, documents.c.id == as_key(id), wanted)
        row = self._connection.execute(query).first()
        return None if row is None else _document(row)

    def current(self, type: str, ids: Sequence[str]) -> tuple[Document, ...]:
        """The current versions, in the order of the ids."""
        found = {row.id: _document(row) for row in self._rows(_current_of(type, ids))} if ids else {}
        return tuple(found[one] for one in ids if one in found)

    def _included(self, search: Search, ids: Sequence[str], matches: Sequence[Document]) -> tuple[Document, ...]:
        references = linked_to(self._connection, search, ids) if search.includes and ids else []
        shown = {(document.type, document.id) for document in matches}
        found: list[Document] = []
        for kind in dict.fromkeys(kind for kind, _ in references):
            wanted = [one for of, one in references if of == kind and (kind, one) not in shown]
            query = _current_of(kind, wanted).where(*shown_documents(kind, search.include_silent))
            found += [_document(row) for row in self._rows(query)]
        return tuple(found)

    def _rows(self, query: Select[Any]) -> Sequence[Result[Any]]:
        return self._connection.execute(query).all()

    def _insert_rows(self, new: Sequence[tuple[Document, Sequence[Row]]]) -> None:
        texts = [row for document, index in new for row in _index_rows(document, index)]
        insert_all(self._connection, document_index, texts)
        ranges = [row for document, index in new for row in _range_rows(document, index)]
        insert_all(self._connection, document_ranges, ranges)


def _current_of(type: str, ids: Sequence[str]) -> Select[Any]:
    return select(documents).where(
        documents.c.type == type, documents.c.id.in_(list(dict.fromkeys(ids))), documents.c.is_current
    )


def _version_place(values: Sequence[Any]) -> tuple[datetime, str, int]:
    match values:
        case [float(at), str(id), float(version)] if 0 < version < LAST_VERSION:
            return at_microseconds(at), as_key(id), int(version)
    raise SearchInvalid("this page link cannot be read")


def _document(row: Result[Any]) -> Document:
    return Document(
        type=row.type,
        id=row.id,
        version=row.version,
        body=Packed(row.content),
        last_updated=row.last_updated,
        deleted=row.deleted,
    )


def _row(document: Document, silent: bool) -> dict[str, Any]:
    return {
        "type": document.type,
        "id": document.id,
        "version": document.version,
        "last_updated": document.last_updated,
        "is_current": True,
        "deleted": document.deleted,
        "silent": silent,
        "content": document.body.frame,
    }


def _index_rows(document: Document, index: Sequence[Row]) -> list[dict[str, str]]:
    texts = [row for row in index if isinstance(row, IndexRow)]
    distinct = {(row.name, as_key(row.value), as_key(row.system or "")) for row in texts}
    return [
        {"type": document.type, "id": document.id, "name": name, "value": value, "system": system}
        for name, value, system in distinct
    ]


def _range_rows(document: Document, index: Sequence[Row]) -> list[dict[str, Any]]:
    ranges = [row for row in index if isinstance(row, RangeRow)]
    distinct = {
        (row.name, row.low, row.high, as_key(row.code or ""), as_key(row.system or ""), int(row.wide)) for row in ranges
    }
    names = ("name", "low", "high", "code", "system", "wide")
    return [{"type": document.type, "id": document.id, **dict(zip(names, row, strict=True))} for row in distinct]
