"""Database errors as errors of our tree.

The messages carry the database's own code and nothing else: what drivers say quotes rows, which are patient data.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from inference.errors import Duplicate, EcgError, InternalError, StorageUnavailable

_UNIQUE = frozenset({"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})

# PostgreSQL chose this transaction to end a deadlock, or two could not be put in an order: undone, to be done again.
_CONTENDED = frozenset({"40P01", "40001"})

# "SQL logic error" (an unknown table or column) and a write through a reader are defects of ours, though the driver
# files them with the failures of disk and lock.
_DEFECTS = frozenset({"SQLITE_ERROR", "SQLITE_READONLY"})


class Contended(StorageUnavailable):
    """Another process's transaction was in the way. Nothing is stored; the same work done again succeeds."""


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what SQLAlchemy raises into our tree."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise translated(error) from (None if isinstance(error, exc.DBAPIError) else error)


def translated(error: exc.SQLAlchemyError) -> EcgError:
    """The error of our tree for an error of SQLAlchemy."""
    if isinstance(error, exc.DBAPIError):
        return _from_driver(error, _code(error.orig))
    if isinstance(error, exc.TimeoutError | exc.PendingRollbackError | exc.ResourceClosedError):
        return StorageUnavailable("no usable database connection")
    return InternalError(f"database layer: {type(error).__name__}")


def _from_driver(error: exc.DBAPIError, code: str) -> EcgError:
    if isinstance(error, exc.IntegrityError):
        return Duplicate("already stored") if code in _UNIQUE else InternalError(f"a constraint was broken ({code})")
    if code in _CONTENDED:
        return Contended(f"database: {code}")
    if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
        return InternalError(f"database: {code}") if code in _DEFECTS else StorageUnavailable(f"database: {code}")
    return InternalError(f"database: {code}")


def _code(error: BaseException | None) -> str:
    """SQLite's name of the failure or PostgreSQL's SQLSTATE; a lost connection has neither, but a driver's class."""
    for attribute in ("sqlite_errorname", "pgcode"):
        if name := getattr(error, attribute, None):
            return str(name)
    return type(error).__name__
