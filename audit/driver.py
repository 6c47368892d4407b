"""Statements that go to the database's driver as they are written.

An ECG takes a dozen statements, and SQLAlchemy spends more on building, binding and wrapping each of them than the
database does on running it. The connection and its transaction stay SQLAlchemy's, and so do the errors.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError


def run(connection: Connection, text: str, values: Sequence[Any]) -> Any:
    """Run a statement once; gives the driver's cursor. Raises SQLAlchemy's DBAPIError, without the values."""
    return _run(connection, text, values, many=False)


def run_many(connection: Connection, text: str, rows: Sequence[Sequence[Any]]) -> Any:
    """Run a statement for each row; gives the driver's cursor. Raises SQLAlchemy's DBAPIError, without the values."""
    return _run(connection, text, rows, many=True)


def placeholder(dialect: Dialect) -> str:
    """What stands for a value in the driver's statements."""
    return "?" if dialect.paramstyle == "qmark" else "%s"


def _run(connection: Connection, text: str, values: Sequence[Any], *, many: bool) -> Any:
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(text, values)
    except dialect.loaded_dbapi.Error as error:
        lost = dialect.is_disconnect(error, connection.connection, cursor)
        wrapped = DBAPIError.instance(
            text, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=lost,
            dialect=dialect,
        )  # fmt: skip
        if lost:  # the pool must not hand it out again
            connection.invalidate(error)
        raise wrapped from error
    return cursor
