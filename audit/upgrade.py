"""Bringing a database to the schema of this version."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
    text,
)

from audit.backup import copy_file
from audit.engine import connect_for_migration, sqlite_file
from audit.failures import storage_errors
from audit.schema import REVISION, WORKS_WITH, compatibility, metadata
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
    """What a migration did. before is None for an empty database; copy: the file kept of an SQLite database."""

    before: str | None
    after: str
    copy: Path | None


def upgrade(url: str) -> Upgrade:
    """Migrate to this version's schema in one transaction; nothing happens where that stands already, or where that of
    a later version stands on which this one can work.

    An existing SQLite file is first copied beside itself. On PostgreSQL a second migration waits for the first.
    Raises ConfigurationError for a database of a later version on which this one cannot work, StorageUnavailable when
    the database fails.
    """
    with _migrating(url) as connection:
        return _migrate(connection, sqlite_file(url))


def downgrade(url: str, revision: str) -> Upgrade:
    """Migrate back to the schema of an older version, in one transaction; what only later ones know is lost.

    An existing SQLite file is first copied beside itself. Raises ConfigurationError where no migration leads there,
    StorageUnavailable when the database fails.
    """
    from audit import revisions

    with _migrating(url) as connection:
        before = _revision(connection)
        if before is None or not revisions.is_known(before):
            raise ConfigurationError(f"the database is at schema {before or 'none'}, which this version does not know")
        if not revisions.is_known(revision) or revision > before:
            raise ConfigurationError(f"no schema {revision} before {before}")
        file = sqlite_file(url)
        copy = _copy(file, before) if file is not None and revision != before else None
        revisions.migrate_back(connection, revision)
        if inspect(connection).has_table(compatibility.name):
            _note_compatibility(connection, revision)
        _check_foreign_keys(connection)
        return Upgrade(before, revision, copy)


def require_usable(connection: Connection) -> None:
    """Raises ConfigurationError naming the remedy where this version cannot work on the database's schema. It can on
    that of a later version that says so: during a rolling update both work side by side."""
    found, wanted = _revision(connection), REVISION
    if found == wanted or _works_with_older(connection, found):
        return
    if found is not None and found > wanted:
        raise ConfigurationError(f"the database is at schema {found}, on which this version ({wanted}) cannot work")
    raise ConfigurationError(
        f"the database is at schema {found or 'none'}, this version needs {wanted}: run `ecg-interop db upgrade`"
    )


@contextmanager
def _migrating(url: str) -> Iterator[Connection]:
    """One transaction for schema changes, and no other process in one."""
    engine = connect_for_migration(url)
    try:
        with storage_errors(), engine.begin() as connection:
            _wait_for_others(connection)
            yield connection
    finally:
        engine.dispose()


def _works_with_older(connection: Connection, found: str | None) -> bool:
    """Whether a later version made this schema (revisions are numbered in order) and lets programs of ours go on."""
    if found is None or found <= REVISION:
        return False
    oldest: str | None = connection.execute(select(compatibility.c.oldest_schema)).scalar_one_or_none()
    return oldest is not None and oldest <= REVISION


def _migrate(connection: Connection, file: Path | None) -> Upgrade:
    before = _revision(connection)
    if before is not None and (before == REVISION or _works_with_older(connection, before)):
        return Upgrade(before, before, None)
    if file is not None and not inspect(connection).get_table_names():
        _create(connection)
        return Upgrade(None, REVISION, None)
    from audit import revisions

    if before is not None and not revisions.is_known(before):
        raise ConfigurationError(f"the database is at schema {before}, on which this version ({REVISION}) cannot work")
    copy = _copy(file, before) if file is not None else None
    revisions.migrate(connection)
    _note_compatibility(connection, WORKS_WITH)
    _check_foreign_keys(connection)
    return Upgrade(before, REVISION, copy)


def _create(connection: Connection) -> None:
    """What all migrations make of an empty SQLite file, in one step and without loading Alembic."""
    metadata.create_all(connection)
    _version.create(connection)
    connection.execute(insert(_version).values(version_num=REVISION))
    _note_compatibility(connection, WORKS_WITH)


def _note_compatibility(connection: Connection, oldest: str) -> None:
    connection.execute(delete(compatibility))
    connection.execute(insert(compatibility).values(oldest_schema=oldest))


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
    copy = file.with_name(f"{file.name}.before-migration-from-{revision or 'none'}")
    try:
        copy_file(file, copy)
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(f"the database could not be copied to {copy}: {type(error).__name__}") from None
    return copy


def _check_foreign_keys(connection: Connection) -> None:
    """They are off while SQLite's tables are rebuilt, so what they guard is checked at the end."""
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise ConfigurationError("the migration would leave rows without what they refer to; nothing was changed")
