"""The readiness checks of the serving process: what must hold so that an ECG can be taken in and kept."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Protocol

from inference.errors import ServiceError, StorageUnavailable
from interop.health import Check
from interop.intake import Intake

# SQLite's log may grow to 128 MB, 64 more than it was given at the start, before all of it goes into the database. The
# rest holds some 400 ECGs with their results: time for an operator to act while senders already go elsewhere.
MIN_FREE_BYTES = 256 * 1024 * 1024
# A probe comes every few seconds from every balancer; one synced write in five seconds tells enough.
WRITE_SECONDS = 5.0


class CheckedStore(Protocol):
    """What the checks need of the store."""

    def check(self) -> None:
        """Read something. Raises StorageUnavailable, ConfigurationError."""

    def write_heads(self, now: datetime) -> Mapping[str, tuple[int, str]]:
        """Commit something small. Raises StorageUnavailable."""


def free_bytes(folder: Path) -> int:
    """Free space of the file system. Raises OSError."""
    return shutil.disk_usage(folder).free


def checks(
    store: CheckedStore, intake: Intake, listening: Callable[[], bool], folder: Path | None
) -> Mapping[str, Check]:
    """Name -> check. listening: whether MLLP connections are accepted. folder: of SQLite's file, else None."""

    async def model() -> None:
        await intake.decode(lambda: None)  # loaded at start; what can fail is the lane's turn coming in time

    async def mllp() -> None:
        if not listening():
            raise ServiceError("the MLLP listener is closed")

    return {"model": model, "database": DatabaseCheck(store), "disk": DiskCheck(store, intake, folder), "mllp": mllp}


class DatabaseCheck:
    """Reads from the database in a thread of its own, in one only: a database that hangs would collect them."""

    def __init__(self, store: CheckedStore) -> None:
        self._store = store
        self._running: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        """Join the read that is under way, or begin one. Raises StorageUnavailable, ConfigurationError."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(asyncio.to_thread(self._store.check))
            self._running.add_done_callback(_seen)
        await asyncio.shield(self._running)


class DiskCheck:
    """Enough free space beside an SQLite file, and a commit that reaches the disk."""

    def __init__(
        self, store: CheckedStore, intake: Intake, folder: Path | None, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._store = store
        self._intake = intake
        self._folder = folder
        self._free = free
        self._written_at: float | None = None

    async def __call__(self) -> None:
        """Raises StorageUnavailable, Overloaded. A commit that succeeded is not repeated for WRITE_SECONDS."""
        if self._folder is not None:
            self._check_space(self._folder)
        if self._written_at is not None and monotonic() - self._written_at < WRITE_SECONDS:
            return
        self._written_at = None
        await self._intake.writer.between(lambda: self._store.write_heads(self._intake.clock()))
        self._written_at = monotonic()

    def _check_space(self, folder: Path) -> None:
        try:
            free = self._free(folder)
        except OSError as error:
            raise StorageUnavailable(f"the database's folder cannot be examined: {error.strerror}") from error
        if free < MIN_FREE_BYTES:
            megabytes = 1024 * 1024
            raise StorageUnavailable(
                f"{free // megabytes} MB are free beside the database; {MIN_FREE_BYTES // megabytes} MB are needed"
            )


def _seen(done: asyncio.Future[None]) -> None:
    """A read whose probes have given up has nobody else to take its error."""
    if not done.cancelled():
        done.exception()
