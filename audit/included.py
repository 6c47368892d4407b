"""What matches of a search refer to, and what refers to them (FHIR R4 search.html sections 3.1.1.5.4 and 3.1.1.5.5)."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from audit.criteria import Include, Search
from audit.schema import document_index

_rows = document_index.c


def linked_to(connection: Connection, search: Search, ids: Sequence[str]) -> list[tuple[str, str]]:
    """The (type, id) of every document that the includes of a search ask for, each once; it may not exist."""
    found = [pair for each in search.includes for pair in _of(connection, each, search.type, ids)]
    return list(dict.fromkeys(found))


def _of(connection: Connection, include: Include, type: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    if include.reverse:
        targets = [f"{type}/{one}" for one in ids]
        named = (_rows.type == include.type, _rows.name == include.name)
        query = select(_rows.id).where(*named, _rows.value.in_(targets)).order_by(_rows.id)
        yield from ((include.type, one) for one in connection.execute(query).scalars())
    elif include.type == type:
        mine = (_rows.type == type, _rows.name == include.name, _rows.id.in_(list(ids)))
        for value in connection.execute(select(_rows.value).where(*mine)).scalars():
            kind, _, target = value.partition("/")
            if target and include.target in (None, kind):
                yield kind, target
