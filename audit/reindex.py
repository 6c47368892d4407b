"""The rows that documents are found by, made anew of all documents when they are made by other definitions.

What is indexed is the program's to say, not the schema's: a release that searches by more needs rows that an older one
did not write. A document at a time is found by its old or its new rows, never by none.

During a rolling update an older version goes on storing documents, with rows of its own making, and a newer one makes
them anew. The older ones are known by their chains' heads, which every process writes at least once a minute
(`audit_heads`): what was stored until the last sign of them is gone through again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from audit.criteria import IndexDefinitions, Row
from audit.documents import SqlDocuments
from audit.records import Document
from audit.schema import audit_heads, documents, search_index

# One transaction's worth: others wait for the writer some tenths of a second.
BATCH = 200
# How long a process may store documents after its last sign, its clock and its commit included.
UNSEEN = timedelta(minutes=3)

RowsOf = Callable[[Document], Sequence[Row]]
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class IndexState:
    """What the rows in the database were made by, and until when all documents have such rows."""

    made_by: IndexDefinitions
    complete_at: datetime


def index_state(connection: Connection) -> IndexState | None:
    """None where nobody has made them yet."""
    row = connection.execute(select(search_index)).one_or_none()
    if row is None:
        return None
    return IndexState(IndexDefinitions(revision=row.revision, digest=row.definitions), row.complete_at)


def serves(state: IndexState | None, definitions: IndexDefinitions) -> bool:
    """Whether a program with these definitions finds documents by the rows there are: they are its own, or of a later
    version, which has them too."""
    return state is not None and (state.made_by == definitions or state.made_by.revision > definitions.revision)


def missed_since(connection: Connection, definitions: IndexDefinitions) -> datetime | None:
    """From when on other versions may have stored documents that lack rows by these definitions, None where none has,
    or where the rows are for a later version to make."""
    state = index_state(connection)
    if state is None or state.made_by != definitions:
        return None
    others = audit_heads.c.index_revision != definitions.revision
    seen: datetime | None = connection.execute(select(func.max(audit_heads.c.written_at)).where(others)).scalar_one()
    begin = state.complete_at - UNSEEN
    return begin if seen is not None and seen >= begin else None


def reindex_after(
    connection: Connection,
    place: Place,
    rows_of: RowsOf,
    until: datetime,
    type: str | None = None,
    since: datetime | None = None,
) -> Place | None:
    """Make anew the rows of the documents that follow a place, (type, id), a batch of them: of all that were stored
    until a time (others may go on storing, for ever), or of those of one type since another. Gives the place of the
    last one, None where there were none.

    They are locked until the transaction ends: who replaces one meanwhile waits, and exchanges the rows after us."""
    key = (documents.c.type, documents.c.id)
    wanted = (documents.c.is_current, documents.c.deleted.is_(False))
    query = select(*key).where(tuple_(*key) > tuple_(*place), *wanted).order_by(*key).limit(BATCH).with_for_update()
    query = query.where(documents.c.last_updated <= until)
    if type is not None:
        query = query.where(documents.c.type == type)
    if since is not None:
        query = query.where(documents.c.last_updated >= since)
    found = connection.execute(query).all()
    if not found:
        return None
    store = SqlDocuments(connection)
    for type_ in dict.fromkeys(row.type for row in found):
        current = store.current(type_, [row.id for row in found if row.type == type_])
        store.index_anew([(document, rows_of(document)) for document in current])
    return found[-1].type, found[-1].id


def note(connection: Connection, definitions: IndexDefinitions, complete_at: datetime) -> None:
    """All documents stored before a time have rows of these definitions."""
    connection.execute(delete(search_index))
    values = {"definitions": definitions.digest, "revision": definitions.revision, "complete_at": complete_at}
    connection.execute(insert(search_index).values(values))
