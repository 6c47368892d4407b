"""The threads behind the event loop: one inference lane, one database writer, a small pool of readers.

A busy Python thread beside onnxruntime triples its latency, and concurrent runs give no more throughput on two cores:
so there is one lane. One writer commits whole groups, because an fsync costs the same for one row as for fifty.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from audit.records import UnitOfWork
from inference.errors import EcgError, Overloaded, StorageUnavailable

T = TypeVar("T")
Job = Callable[[UnitOfWork], Any]

MAX_GROUP = 50  # commits grow linearly beyond this, and the first in the group would wait for the last
READERS = 2  # one for each core; reads are short
WRITE_QUEUE_LIMIT = 2000  # small intake at 1,000/s may wait two seconds at most


class BatchStore(Protocol):
    """What the writer needs of the store: jobs run in savepoints of one transaction; an entry of the answer is the
    job's value or its error."""

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Run and commit. Raises StorageUnavailable when the commit fails."""


class Lane:
    """One thread that decodes and classifies. `limit` bounds what may wait: beyond it callers get Overloaded."""

    def __init__(self, limit: int) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._limit = limit
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many calls are queued or running."""
        return self._waiting

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the lane's thread. Raises Overloaded when the queue is full, else what `work` raises."""
        if self._waiting >= self._limit:
            raise Overloaded(f"{self._waiting} ECGs are waiting for analysis already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what runs and stop the thread."""
        self._executor.shutdown(wait=True)


class Writer:
    """One thread that owns the write transaction and commits in groups."""

    def __init__(self, store: BatchStore) -> None:
        self._store = store
        self._queue: queue.Queue[tuple[Job, Future[Any]] | None] = queue.Queue(WRITE_QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[UnitOfWork], T]) -> T:
        """Run `job` and give back its value once it is committed. Raises Overloaded, StorageUnavailable, or what the
        job raises (then nothing of it is stored)."""
        future: Future[T] = Future()
        try:
            self._queue.put_nowait((job, future))
        except queue.Full as error:
            raise Overloaded("the database writer is behind") from error
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Commit what is queued and stop the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, ended = [first], False
            while len(group) < MAX_GROUP and not ended:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                ended = item is None
                group.extend(() if item is None else (item,))
            self._commit(group)
            if ended:
                return

    def _commit(self, group: list[tuple[Job, Future[Any]]]) -> None:
        try:
            outcomes = self._store.run_batch([job for job, _ in group])
        except EcgError as error:
            outcomes = [error] * len(group)
        except Exception as error:  # noqa: BLE001 - the writer must outlive any failure; each caller gets it
            failure = StorageUnavailable("the commit failed")
            failure.__cause__ = error
            outcomes = [failure] * len(group)
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class Readers:
    """Threads for queries; each call gets a read-only unit of work."""

    def __init__(self, read: Callable[[Callable[[UnitOfWork], Any]], Any]) -> None:
        self._read = read
        self._executor = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    async def read(self, query: Callable[[UnitOfWork], T]) -> T:
        """Run a query in a reader thread. Raises what the query raises."""
        loop = asyncio.get_running_loop()
        result: T = await loop.run_in_executor(self._executor, self._read, query)
        return result

    def close(self) -> None:
        """Finish what runs and stop the threads."""
        self._executor.shutdown(wait=True)
