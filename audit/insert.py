"""Insert rows, many at once or unless a unique constraint holds them already.

Catching the error of a plain insert would not do for the latter: on PostgreSQL a failed statement spoils the whole
transaction. With `ON CONFLICT DO NOTHING` the row of a concurrent, uncommitted transaction is waited for, then
respected.

The statements are written here and go to the driver as they are: an ECG takes a hundred rows, and building, compiling
and binding them in SQLAlchemy took longer than the database needs to store them. Values still pass through the column
types of the schema.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Table

from audit.driver import placeholder, run, run_many

Bind = Callable[[Any], Any]

# PostgreSQL takes 65,535 values in a statement; no table of ours has more than 20 columns.
MAX_ROWS = 1000

_OR_ABSENT = "ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class _Statement:
    """`INSERT INTO ... VALUES`, one row of placeholders, the key to give back, the values in their order, and how some
    of them are bound, by their place."""

    head: str
    row: str
    returning: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    binds: tuple[tuple[int, Bind], ...]

    def values(self, row: Mapping[str, Any]) -> Sequence[Any]:
        picked = self.pick(row)
        if not self.binds:
            return picked
        values = list(picked)
        for place, bind in self.binds:
            values[place] = bind(values[place])
        return values


def insert_if_absent(connection: Connection, table: Table, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The primary key of the inserted row, or None where a unique constraint is taken."""
    statement = _statement(connection.dialect, table, tuple(values))
    text = f"{statement.head} {statement.row} {_OR_ABSENT} {statement.returning}"
    row = run(connection, text, statement.values(values)).fetchone()
    return None if row is None else tuple(row)


def insert_absent(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """How many of the rows, which have the same columns, were inserted."""
    return _insert(connection, table, rows, _OR_ABSENT)


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows with the same columns. Raises IntegrityError when a constraint holds one of them."""
    _insert(connection, table, rows, "")


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], otherwise: str) -> int:
    if not rows:
        return 0
    statement = _statement(connection.dialect, table, tuple(rows[0]))
    values = [statement.values(row) for row in rows]
    if connection.dialect.name == "sqlite":
        return int(run_many(connection, f"{statement.head} {statement.row} {otherwise}", values).rowcount)
    # psycopg2 would send them one by one, each waiting for its answer.
    inserted = 0
    for start in range(0, len(values), MAX_ROWS):
        part = values[start : start + MAX_ROWS]
        text = f"{statement.head} {', '.join([statement.row] * len(part))} {otherwise}"
        inserted += run(connection, text, [value for row in part for value in row]).rowcount
    return inserted


@lru_cache(maxsize=64)  # a process has one or two dialects and a dozen kinds of rows
def _statement(dialect: Dialect, table: Table, names: tuple[str, ...]) -> _Statement:
    quote = dialect.identifier_preparer.quote
    columns = [table.c[name] for name in names]
    binds = [(place, _bind(column, dialect)) for place, column in enumerate(columns)]
    return _Statement(
        head=f"INSERT INTO {quote(table.name)} ({', '.join(quote(column.name) for column in columns)}) VALUES",
        row=f"({', '.join([placeholder(dialect)] * len(columns))})",
        returning=f"RETURNING {', '.join(quote(key.name) for key in table.primary_key)}",
        pick=itemgetter(*names),
        binds=tuple((place, bind) for place, bind in binds if bind is not None),
    )


def _bind(column: Column[Any], dialect: Dialect) -> Bind | None:
    return column.type.dialect_impl(dialect).bind_processor(dialect)
