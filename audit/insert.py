"""Insert rows unless a unique constraint holds them already.

Catching the error of a plain insert would not do: on PostgreSQL a failed statement spoils the whole transaction. With
`ON CONFLICT DO NOTHING` the row of a concurrent, uncommitted transaction is waited for, then respected.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

Insert = sqlite.Insert | postgresql.Insert

_INSERT: Mapping[str, Callable[[Table], Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_if_absent(connection: Connection, table: Table, values: Mapping[str, Any]) -> Row[Any] | None:
    """The primary key of the inserted row, or None where a unique constraint is taken."""
    return connection.execute(_statement(connection.dialect.name, table), values).first()


def insert_absent(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """How many of the rows were inserted."""
    return len(connection.execute(_statement(connection.dialect.name, table), rows).all()) if rows else 0


@cache  # a statement built once keeps its compiled form; building it takes longer than running it
def _statement(dialect: str, table: Table) -> ReturningInsert[Any]:
    return _INSERT[dialect](table).on_conflict_do_nothing().returning(*table.primary_key.columns)
