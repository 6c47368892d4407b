"""One serving process per SQLite file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.errors import ConfigurationError


@contextmanager
def hold_lock(database: Path) -> Iterator[Path]:
    """Hold `<database>.lock`, which names our process id, until the block or the process ends.

    Raises ConfigurationError naming the process that holds it. The operating system frees the lock of a killed process,
    so a left-over file does not matter, and it is never deleted: a second process could be waiting on the deleted one.
    """
    file = database.with_name(database.name + ".lock")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot write the lock file {file}: {error.strerror}") from None
    try:
        _take(descriptor, database)
        yield file
    finally:
        os.close(descriptor)


def _take(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise ConfigurationError(f"{database} is in use by process {holder}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
