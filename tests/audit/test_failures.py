import sqlite3

import pytest
from sqlalchemy import exc

from audit.failures import Contended, storage_errors, translated
from inference.errors import Duplicate, EcgError, InternalError, StorageUnavailable


class PostgresError(Exception):
    """What psycopg2 raises, with its SQLSTATE."""

    def __init__(self, pgcode: str | None) -> None:
        super().__init__("Key (patient_key)=(secret) already exists")
        self.pgcode = pgcode


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("secret")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exc.IntegrityError("INSERT", {}, PostgresError("23505")), Duplicate("already stored")),
        (exc.IntegrityError("INSERT", {}, sqlite_error("SQLITE_CONSTRAINT_UNIQUE")), Duplicate("already stored")),
        (exc.IntegrityError("INSERT", {}, PostgresError("23503")), InternalError("a constraint was broken (23503)")),
        (exc.OperationalError("COMMIT", {}, sqlite_error("SQLITE_FULL")), StorageUnavailable("database: SQLITE_FULL")),
        (exc.OperationalError("BEGIN", {}, sqlite_error("SQLITE_BUSY")), StorageUnavailable("database: SQLITE_BUSY")),
        (exc.OperationalError("SELECT", {}, sqlite_error("SQLITE_ERROR")), InternalError("database: SQLITE_ERROR")),
        (exc.OperationalError("SELECT", {}, PostgresError(None)), StorageUnavailable("database: PostgresError")),
        (exc.OperationalError("SELECT", {}, PostgresError("53100")), StorageUnavailable("database: 53100")),
        (exc.OperationalError("INSERT", {}, PostgresError("40P01")), Contended("database: 40P01")),
        (exc.OperationalError("SELECT", {}, PostgresError("40001")), Contended("database: 40001")),
        (exc.ProgrammingError("SELECT", {}, PostgresError("42P01")), InternalError("database: 42P01")),
        (
            exc.DatabaseError("SELECT", {}, PostgresError("57P01"), connection_invalidated=True),
            StorageUnavailable("database: 57P01"),
        ),
        (exc.TimeoutError("secret"), StorageUnavailable("no usable database connection")),
        (exc.ArgumentError("secret"), InternalError("database layer: ArgumentError")),
    ],
)
def test_a_database_error_becomes_one_of_ours_without_the_drivers_text(
    error: exc.SQLAlchemyError, expected: EcgError
) -> None:
    found = translated(error)
    assert (type(found), found.message) == (type(expected), expected.message)


def test_what_is_no_database_error_passes() -> None:
    with pytest.raises(KeyError), storage_errors():
        raise KeyError
