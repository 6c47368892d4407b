"""The threads behind the event loop: one inference lane, one database writer, a small pool of readers.

A busy Python thread beside onnxruntime triples its latency, and concurrent runs give no more throughput on two cores:
so there is one lane, with a thread beside it for what needs no Python (compressing, hashing). One writer commits
whole groups, because an fsync costs the same for one row as for fifty.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, TypeVar

from audit.records import Reader, UnitOfWork
from inference.errors import EcgError, Overloaded, StorageUnavailable

T = TypeVar("T")
Job = Callable[[UnitOfWork], Any]

MAX_GROUP = 50  # commits grow linearly beyond this, and the first in the group would wait for the last
MAX_TOGETHER = 4  # the first of a run of the model waits until the last is ready; more save hardly anything
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
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._limit = limit
        self._waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._idle_since = monotonic()
        self._together: deque[tuple[Any, Future[Any]]] = deque()

    @property
    def waiting(self) -> int:
        """How many calls are queued or running."""
        return self._waiting

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the lane's thread. Raises Overloaded when the queue is full, else what `work` raises."""
        value: T = await self._admitted(self._executor.submit, work)
        return value

    async def run_together(self, work: Callable[[Sequence[Any]], Sequence[Any]], item: Any) -> Any:
        """Run `work` in the lane's thread on `item` and on others that wait for it, at most MAX_TOGETHER; gives the
        item's entry of its answer, or raises it. Raises Overloaded when the queue is full."""
        return await self._admitted(self._enqueue, work, item)

    async def idle(self, seconds: float) -> None:
        """Wait until nothing has been queued or running for so long."""
        while self._waiting or (left := self._idle_since + seconds - monotonic()) > 0:
            await (self._idle.wait() if self._waiting else asyncio.sleep(left))

    def beside(self, work: Callable[[], T]) -> Future[T]:
        """Start `work`, which belongs to what the lane runs, in the thread beside it."""
        return self._beside.submit(work)

    def close(self) -> None:
        """Finish what runs and stop the threads."""
        self._executor.shutdown(wait=True)
        self._beside.shutdown(wait=True)

    async def _admitted(self, submit: Callable[..., Future[Any]], *arguments: Any) -> Any:
        if self._waiting >= self._limit:
            raise Overloaded(f"{self._waiting} ECGs are waiting for analysis already")
        self._waiting += 1
        self._idle.clear()
        try:
            return await asyncio.wrap_future(submit(*arguments))
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._idle_since = monotonic()
                self._idle.set()

    def _enqueue(self, work: Callable[[Sequence[Any]], Sequence[Any]], item: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._together.append((item, future))
        self._executor.submit(self._take_together, work)
        return future

    def _take_together(self, work: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        """Each item has submitted one such call; those that come after their item was taken find less or nothing."""
        taken = [self._together.popleft() for _ in range(min(MAX_TOGETHER, len(self._together)))]
        wanted = [(item, future) for item, future in taken if future.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            outcomes: Iterable[Any] = work([item for item, _ in wanted])
        except Exception as error:  # noqa: BLE001 - handed to the callers
            outcomes = [error] * len(wanted)
        for (_, future), outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


@dataclass(frozen=True, slots=True)
class _Write:
    """A job for the common transaction."""

    job: Job
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Task:
    """Work that needs the writer's thread but no transaction of ours."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]


class Writer:
    """One thread that owns the write transaction and commits in groups."""

    def __init__(self, store: BatchStore) -> None:
        self._store = store
        self._queue: queue.Queue[_Write | _Task | None] = queue.Queue(WRITE_QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[UnitOfWork], T]) -> T:
        """Run `job` and give back its value once it is committed. Raises Overloaded, StorageUnavailable, or what the
        job raises (then nothing of it is stored)."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(_Write(job, future))
        return await future

    async def between(self, work: Callable[[], T]) -> T:
        """Run `work` in the writer's thread between two transactions. Raises Overloaded, or what `work` raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(_Task(work, future))
        return await future

    def close(self) -> None:
        """Commit what is queued and stop the thread."""
        self._queue.put(None)
        self._thread.join()

    def _enqueue(self, item: _Write | _Task) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full as error:
            raise Overloaded("the database writer is behind") from error

    def _run(self) -> None:
        item = self._queue.get()
        while item is not None:
            if isinstance(item, _Task):
                _resolve([(item.future, _outcome(item.work))])
                item = self._queue.get()
            else:
                item = self._commit_group(item)

    def _commit_group(self, first: _Write) -> _Write | _Task | None:
        """Commit what waits already, up to the limit; gives the next item, waited for when there is none yet."""
        group, following, more = [first], None, True
        while more and len(group) < MAX_GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, _Write):
                group.append(item)
            else:
                following, more = item, False
        self._commit(group)
        return self._queue.get() if more else following

    def _commit(self, queued: list[_Write]) -> None:
        # A caller that has given up was told that nothing is stored: then nothing should be.
        group = [write for write in queued if not write.future.cancelled()]
        if not group:
            return
        try:
            outcomes = self._store.run_batch([write.job for write in group])
        except EcgError as error:
            outcomes = [error] * len(group)
        except Exception as error:  # noqa: BLE001 - the writer must outlive any failure; each caller gets it
            failure = StorageUnavailable("the commit failed")
            failure.__cause__ = error
            outcomes = [failure] * len(group)
        _resolve([(write.future, outcome) for write, outcome in zip(group, outcomes, strict=True)])


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - handed to the caller
        return error


def _resolve(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    """Hand a group's outcomes to the event loop in one call: waking it takes longer than a small job."""
    answers[0][0].get_loop().call_soon_threadsafe(_answer, answers)


def _answer(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in answers:
        # A caller that went away (a closed connection) has cancelled its future; what was committed stays.
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


class Readers:
    """Threads for queries; each call gets a read-only view."""

    def __init__(self, read: Callable[[Callable[[Reader], Any]], Any]) -> None:
        self._read = read
        self._executor = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in a reader thread. Raises what the query raises."""
        loop = asyncio.get_running_loop()
        result: T = await loop.run_in_executor(self._executor, self._read, query)
        return result

    def close(self) -> None:
        """Finish what runs and stop the threads."""
        self._executor.shutdown(wait=True)
