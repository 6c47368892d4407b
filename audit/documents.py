"""Versioned documents, their index rows, and unique business identifiers."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from audit.columns import as_key
from audit.driver import placeholder, run
from audit.insert import insert_absent, insert_all, insert_if_absent
from audit.packed import Packed
from audit.records import Document, IndexRow, Page, Search
from audit.schema import claims, document_index, documents
from audit.search import cursor_after, matching, on_page
from inference.errors import Duplicate, Gone, NotFound

_HELD = "SELECT owner, digest FROM claims WHERE scope = {0} AND key = {0}"


class SqlDocuments:
    """`audit.records.Documents` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, document: Document, index: Sequence[IndexRow], *, silent: bool = False) -> None:
        """Store version 1. Raises Duplicate when type/id exists."""
        self.create_all([(document, index)], silent=silent)

    def create_all(self, new: Sequence[tuple[Document, Sequence[IndexRow]]], *, silent: bool = False) -> None:
        """Store several with two statements, which takes half the time of one by one.

        Raises Duplicate when one of them exists; of the others some may be stored then, so that the unit of work has to
        be given up.
        """
        if insert_absent(self._connection, documents, [_row(document, silent) for document, _ in new]) < len(new):
            raise Duplicate("such a document exists")
        rows = [row for document, index in new for row in _index_rows(document, index)]
        insert_all(self._connection, document_index, rows)

    def read(self, type: str, id: str, version: int | None = None) -> Document:
        """The current or the named version. Raises NotFound, Gone."""
        wanted = documents.c.is_current if version is None else documents.c.version == version
        query = select(documents).where(documents.c.type == type, documents.c.id == as_key(id), wanted)
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound(f"no such {type}")
        if row.deleted:
            raise Gone(f"this {type} was deleted")
        return _document(row)

    def search(self, search: Search) -> Page:
        """The documents that match. Raises SearchInvalid for an unusable cursor."""
        found, total = matching(search)
        rows = self._connection.execute(on_page(found, search)).all()
        page = tuple(_document(row) for row in rows[: search.count])
        more = len(rows) > len(page) > 0
        return Page(
            documents=page,
            total=self._connection.execute(total).scalar_one(),
            next=cursor_after(page[-1], search) if more else None,
        )

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
            assert held is not None, "a claim is never given up"
        return held

    def owner(self, scope: str, key: str) -> str | None:
        """Who has claimed a key, as far as this transaction sees."""
        held = self._holder({"scope": as_key(scope), "key": as_key(key)})
        return None if held is None else held[0]

    def _holder(self, place: Mapping[str, str]) -> tuple[str, str] | None:
        text = _HELD.format(placeholder(self._connection.dialect))
        row = run(self._connection, text, tuple(place.values())).fetchone()
        return None if row is None else (row[0], row[1])


def _document(row: Row[Any]) -> Document:
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


def _index_rows(document: Document, index: Sequence[IndexRow]) -> list[dict[str, str]]:
    distinct = {(row.name, as_key(row.value), as_key(row.system or "")) for row in index}
    return [
        {"type": document.type, "id": document.id, "name": name, "value": value, "system": system}
        for name, value, system in distinct
    ]
