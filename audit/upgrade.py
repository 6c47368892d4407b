"""Bringing a database to the schema of this version."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)

from audit.engine import connect_for_migration, sqlite_file
from audit.failures import storage_errors
from audit.schema import REVISION, metadata
from inference.errors import ConfigurationError, StorageUnavailable

# One migration at a time, and none that waits for ever behind a long query while everybody queues behind it.
MIGRATION_LOCK = 0x45_43_47_01
LOCK_TIMEOUT_SECONDS = 10

# Where Alembic notes the revision, as it makes this table itself.
_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What `upgrade` did. before is None for an empty database; copy: the file kept of an existing SQLite database."""

    before: str | None
    after: str
    copy: Path | None


def upgrade(url: str) -> Upgrade:
    """Migrate to this version's schema in one transaction; nothing happens where that stands already.

    An existing SQLite file is first copied beside itself. On PostgreSQL a second migration waits for the first.
    Raises ConfigurationError for a database of a later version, StorageUnavailable when the database fails.
    """
    engine = connect_for_migration(url)
    try:
        with storage_errors(), engine.begin() as connection:
            _wait_for_others(connection)
            return _migrate(connection, sqlite_file(url))
    finally:
        engine.dispose()


def is_current(engine: Engine) -> bool:
    """Whether the database has this version's schema."""
    with storage_errors(), engine.connect() as connection:
        return _revision(connection) == REVISION


def require_current(connection: Connection) -> None:
    """Raises ConfigurationError naming the remedy where the database has not this version's schema."""
    found, wanted = _revision(connection), REVISION
    if found != wanted:
        raise ConfigurationError(
            f"the database is at schema {found or 'none'}, this version needs {wanted}: run `ecg-interop db upgrade`"
        )


def _migrate(connection: Connection, file: Path | None) -> Upgrade:
    before = _revision(connection)
    if before == REVISION:
        return Upgrade(before, REVISION, None)
    if file is not None and not inspect(connection).get_table_names():
        _create(connection)
        return Upgrade(None, REVISION, None)
    from audit import revisions

    if before is not None and not revisions.is_known(before):
        raise ConfigurationError(f"the database is at schema {before}, which is later than this version's {REVISION}")
    copy = _copy(file, before) if file is not None else None
    revisions.migrate(connection)
    _check_foreign_keys(connection)
    return Upgrade(before, REVISION, copy)


def _create(connection: Connection) -> None:
    """What all migrations make of an empty SQLite file, in one step and without loading Alembic."""
    metadata.create_all(connection)
    _version.create(connection)
    connection.execute(insert(_version).values(version_num=REVISION))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    found: str | None = connection.execute(select(_version.c.version_num)).scalar_one_or_none()
    return found


def _wait_for_others(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def _copy(file: Path, revision: str | None) -> Path:
    """A copy through SQLite itself, which includes what is still in the write-ahead log."""
    copy = file.with_name(f"{file.name}.before-upgrade-from-{revision or 'none'}")
    try:
        copy.unlink(missing_ok=True)
        copy.touch(mode=0o600)
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(f"the database could not be copied to {copy}: {type(error).__name__}") from None
    return copy


def _check_foreign_keys(connection: Connection) -> None:
    """They are off while SQLite's tables are rebuilt, so what they guard is checked at the end."""
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise ConfigurationError("the migration would leave rows without what they refer to; nothing was changed")
