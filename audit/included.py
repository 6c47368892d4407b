"""What matches of a search refer to, and what refers to them (FHIR R4 search.html sections 3.1.1.5.4 and 3.1.1.5.5)."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from audit.criteria import Include, Search
from audit.schema import document_index
from inference.errors import SearchInvalid

# An ECG is 300 kB, and a patient may have thousands: a page with all of them would fill the memory.
MAX_INCLUDED = 1000
# Of rows, of which a document may have one for each match.
MAX_ROWS = 10 * MAX_INCLUDED

_rows = document_index.c


def linked_to(connection: Connection, search: Search, ids: Sequence[str]) -> list[tuple[str, str]]:
    """The (type, id) of every document that the includes of a search ask for, each once; it may not exist. Raises
    SearchInvalid where they are more than `MAX_INCLUDED`: to leave some out would look as if there were no more."""
    found = dict.fromkeys(pair for each in search.includes for pair in _of(connection, each, search.type, ids))
    if len(found) > MAX_INCLUDED:
        raise _too_many()
    return list(found)


def _too_many() -> SearchInvalid:
    return SearchInvalid(f"a page would include more than {MAX_INCLUDED} resources; ask for fewer by _count")


def _of(connection: Connection, include: Include, type: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    if include.reverse:
        targets = [f"{type}/{one}" for one in ids]
        named = (_rows.type == include.type, _rows.name == include.name)
        # In order and each once they would be looked for by id, among those of all other values.
        query = select(_rows.id).where(*named, _rows.value.in_(targets)).limit(MAX_ROWS)
        found = connection.execute(query).scalars().all()
        if len(found) == MAX_ROWS:
            raise _too_many()
        yield from ((include.type, one) for one in sorted(set(found)))
    elif include.type == type:
        mine = (_rows.type == type, _rows.name == include.name, _rows.id.in_(list(ids)))
        query = select(_rows.value).where(*mine).order_by(_rows.id, _rows.value)
        for value in connection.execute(query).scalars():
            kind, _, target = value.partition("/")
            # An absolute URL leads to another server.
            if target and kind.isalpha() and include.target in (None, kind):
                yield kind, target
