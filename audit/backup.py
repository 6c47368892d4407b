"""Copies of an SQLite database while it is served, and putting one back. PostgreSQL has tools of its own:
`deploy/backup`."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audit.engine import sqlite_file
from audit.lock import hold_lock
from inference.errors import ConfigurationError, InvalidContent, StorageUnavailable

# What SQLite keeps beside its file. A log of another file than the one in front of it would be played into that.
BESIDE = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copy:
    """A finished copy. revision: the schema that it has."""

    file: Path
    size: int
    revision: str


def backup(url: str, target: Path) -> Copy:
    """A copy of a moment, which includes what is still in the write-ahead log, beside a running service; checked,
    readable by its owner only, there whole or not at all.

    Raises ConfigurationError for PostgreSQL and where there is no database, InvalidContent when the target is there
    already, StorageUnavailable when copying fails or the copy is not sound.
    """
    source = _file(url)
    if not source.exists():
        raise ConfigurationError(f"there is no database at {source} yet")
    if target.exists():
        raise InvalidContent(f"{target} is there already; a copy is never overwritten")
    part = target.with_name(f"{target.name}.part")
    try:
        copy_file(source, part)
        revision = _sound(part)
        _sync(part)
        os.replace(part, target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(f"no copy was made at {target}: {_reason(error)}") from None
    finally:
        part.unlink(missing_ok=True)
    return Copy(target, target.stat().st_size, revision)


def copy_file(source: Path, target: Path) -> None:
    """The database as SQLite sees it at a moment, what is still in its log included, in one file that may be moved, for
    its owner's eyes only. What is there is replaced. Raises sqlite3.Error, OSError."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    # In one step: page by page, each commit of the service would make it begin again.
    with closing(sqlite3.connect(source)) as from_, closing(sqlite3.connect(target)) as into:
        from_.backup(into)
        into.execute("PRAGMA journal_mode = DELETE").close()


def restore(url: str, source: Path, now: datetime) -> Path | None:
    """Put a copy in the place of the database, which is kept beside it; gives where, None where there was none.

    Raises ConfigurationError for PostgreSQL and while a service has the file, InvalidContent for a file that is no
    sound copy, StorageUnavailable when the disk fails.
    """
    place = _file(url)
    if (log := Path(f"{source}-wal")).exists() and log.stat().st_size:
        raise InvalidContent(f"{log} holds a part of {source}: that is a database in use, no copy")
    try:
        _sound(source)
    except sqlite3.Error as error:
        raise InvalidContent(f"{source} is no sound copy of a database: {error}") from None
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(place):
            return _exchange(place, source, now)
    except OSError as error:
        raise StorageUnavailable(f"{source} was not restored to {place}: {_reason(error)}") from None


def _exchange(place: Path, source: Path, now: datetime) -> Path | None:
    part = place.with_name(f"{place.name}.part")
    kept = place.with_name(f"{place.name}.replaced-{now:%Y%m%dT%H%M%SZ}") if place.exists() else None
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        shutil.copyfile(source, part)
        _sync(part)
        for suffix in (*BESIDE, ""):
            if (old := Path(f"{place}{suffix}")).exists():
                os.replace(old, f"{kept or f'{place}.stray'}{suffix}")
        os.replace(part, place)
        _sync(place.parent)
    finally:
        part.unlink(missing_ok=True)
    return kept


def _file(url: str) -> Path:
    file = sqlite_file(url)
    if file is None:
        raise ConfigurationError("this is for SQLite files; for PostgreSQL see deploy/backup and docs/continuity.md")
    return file


def _sound(file: Path) -> str:
    """The schema's revision of a database whose pages, indexes and references are whole. Raises sqlite3.Error."""
    # Nobody else has it, so nothing beside it is looked for or made.
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).splitlines()[0])
        if connection.execute("PRAGMA foreign_key_check").fetchone():
            raise sqlite3.DatabaseError("rows lack what they refer to")
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: sqlite3.Error | OSError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
