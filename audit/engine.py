"""Engines for SQLite and PostgreSQL.

SQLite: write-ahead log, synced at every commit (FULL: acknowledged means durable, also after power loss), no automatic
checkpoints (they would stall a commit for 6-8 ms; see `Store.checkpoint`). Python's sqlite3 opens transactions by
itself and too late, so that is turned off and each one is begun here: `BEGIN IMMEDIATE` by writers, which then wait for
one another instead of failing half-way, a plain `BEGIN` (one snapshot) by readers.
PostgreSQL: writers at READ COMMITTED with unique constraints, readers in a read-only REPEATABLE READ snapshot.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from audit.driver import run
from inference.errors import ConfigurationError

BUSY_TIMEOUT_SECONDS = 30
# A process that stands still in the middle of a transaction holds up the others no longer than this.
LOCK_SECONDS = 10
CONNECT_SECONDS = 5
# Without these a server that vanished without a word is waited for until the system gives up: 15 minutes.
_ALIVE = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms; PostgreSQL's libpq from 12 on
}
READERS = 8  # more than the threads of any reader pool we start
# An ECG leaves 100 KB and some hundred index entries all over the trees. Every page that one of them touches goes into
# the log whole: 445 KB with pages of 4 KB, 650 with 8 KB.
PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Engines:
    """One engine for the writer thread, one for reader threads, one for single statements that read outside of any
    transaction: they cost half as much, and the first one after a lost connection fails."""

    writer: Engine
    reader: Engine
    single: Engine

    def dispose(self) -> None:
        """Close every connection."""
        for engine in (self.writer, self.reader, self.single):
            engine.dispose()


def database_url(text: str) -> URL:
    """The URL with the driver that we use. Raises ConfigurationError (without the password) for anything else."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigurationError("the database URL cannot be read; see docs/settings.md for its form") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigurationError("SQLite needs a file: a database in memory would not outlive the process")
        return url.set(drivername="sqlite+pysqlite")
    if url.drivername in ("postgresql", "postgresql+psycopg2"):
        return url.set(drivername="postgresql+psycopg2")
    raise ConfigurationError(f"{url.drivername} is not supported; use sqlite:///FILE or postgresql+psycopg2://...")


def sqlite_file(text: str) -> Path | None:
    """The file of an SQLite URL, None for PostgreSQL."""
    url = database_url(text)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def connect(text: str) -> Engines:
    """Engines for a database; an SQLite file is created, readable by its owner only. Raises ConfigurationError."""
    url = database_url(text)
    file = sqlite_file(text)
    if file is None:
        return _postgresql(url)
    _create_private(file)
    reader = _sqlite(url, begin="BEGIN", pragmas=_READER, size=READERS)
    return Engines(_sqlite(url, begin="BEGIN IMMEDIATE", pragmas=_WRITER, size=1), reader, reader)


def connect_for_migration(text: str) -> Engine:
    """An engine for schema changes: SQLite's foreign keys are off, because tables are rebuilt under their names."""
    url = database_url(text)
    file = sqlite_file(text)
    if file is None:
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    _create_private(file)
    return _sqlite(url, begin="BEGIN IMMEDIATE", pragmas=_MIGRATION, poolclass=NullPool)


_COMMON = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}",
    f"PRAGMA page_size = {PAGE_BYTES}",  # takes effect in a new file only
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
)
# The index pages that new ECGs go to; with SQLite's own 2 MB a commit reads them back in from a few thousand ECGs on.
_WRITER_CACHE = f"PRAGMA cache_size = -{32 * 1024}"  # KB
_WRITER = (*_COMMON, _WRITER_CACHE, "PRAGMA wal_autocheckpoint = 0", "PRAGMA foreign_keys = ON")
# A page of ten ECGs takes 1 MB; with SQLite's own 2 MB two such searches push out what the others need.
_READER = (*_COMMON, f"PRAGMA cache_size = -{8 * 1024}", "PRAGMA query_only = ON")
_MIGRATION = (*_COMMON, "PRAGMA foreign_keys = OFF")


def _sqlite(
    url: URL, *, begin: str, pragmas: tuple[str, ...], size: int | None = None, poolclass: type[NullPool] | None = None
) -> Engine:
    pool: dict[str, Any] = {"poolclass": poolclass} if poolclass else {"pool_size": size, "max_overflow": 0}
    engine = create_engine(url, hide_parameters=True, **pool)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        run(connection, begin, ())

    return engine


def _postgresql(url: URL) -> Engines:
    given = {name: value for name, value in _ALIVE.items() if name not in url.query}
    writer = create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
        pool_size=1 + READERS,
        connect_args=given | _session(url),
    )
    reader = writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    single = create_engine(
        url, isolation_level="AUTOCOMMIT", hide_parameters=True, pool_size=1, connect_args=given | _session(url)
    )
    return Engines(writer, reader, single)


def _session(url: URL) -> dict[str, str]:
    """What the server is to enforce in our sessions, unless the URL brings options of its own."""
    if "options" in url.query:
        return {}
    seconds = {"lock_timeout": LOCK_SECONDS, "idle_in_transaction_session_timeout": LOCK_SECONDS}
    return {"options": " ".join(f"-c {name}={value}s" for name, value in seconds.items())}


def _create_private(file: Path) -> None:
    """The file holds patient data; SQLite gives its log files the same permissions."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(f"cannot write the database file {file}: {error.strerror}") from None
