"""The rows that documents are found by, made anew of all documents when they are made by other definitions.

What is indexed is the program's to say, not the schema's: a release that searches by more needs rows that an older one
did not write. A document at a time is found by its old or its new rows, never by none.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, insert, select, tuple_

from audit.criteria import Row
from audit.documents import SqlDocuments
from audit.records import Document
from audit.schema import documents, search_index

# One transaction's worth: others wait for the writer some tenths of a second.
BATCH = 200

RowsOf = Callable[[Document], Sequence[Row]]


def indexed_by(connection: Connection) -> str | None:
    """Of which definitions the rows were made; None where nobody has said."""
    found: str | None = connection.execute(select(search_index.c.definitions)).scalar_one_or_none()
    return found


def reindex_after(connection: Connection, place: tuple[str, str], rows_of: RowsOf) -> tuple[str, str] | None:
    """Make anew the rows of the documents that follow a place, (type, id), a batch of them. Gives the place of the last
    one, None where there were none."""
    key = (documents.c.type, documents.c.id)
    current = (documents.c.is_current, documents.c.deleted.is_(False))
    query = select(*key).where(tuple_(*key) > tuple_(*place), *current).order_by(*key).limit(BATCH)
    found = connection.execute(query).all()
    store = SqlDocuments(connection)
    for type_, name in found:
        document = store.read(type_, name)
        store.index_anew(document, rows_of(document))
    return (found[-1][0], found[-1][1]) if found else None


def note(connection: Connection, definitions: str) -> None:
    """The rows are of these definitions now."""
    connection.execute(delete(search_index))
    connection.execute(insert(search_index).values(definitions=definitions))
