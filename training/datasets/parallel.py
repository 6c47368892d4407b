"""Work on parts of a data set in other processes, with the results in the order of the parts.

Only a few parts are ahead of the one that is waited for, so memory holds a few results, however many parts there are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")

PARTS_AHEAD = 2  # per worker: one in work, one waiting


def in_order(work: Callable[[T], R], parts: Iterable[T], workers: int) -> Iterator[tuple[T, R]]:
    """Each part with what `work` makes of it.

    workers: processes beside this one, 0 for none; with them `work`, parts and results are pickled. Raises what `work`
    raises. Parts are taken one by one, as they are needed.
    """
    if workers == 0:
        for part in parts:
            yield part, work(part)
        return
    # Spawned, not forked: HDF5, torch and threads do not survive a fork. One BLAS thread each: the processes are
    # as many as the cores already.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=threadpool_limits, initargs=(1,)
    ) as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        try:
            for part in parts:
                waiting.append((part, pool.submit(work, part)))
                if len(waiting) >= PARTS_AHEAD * workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
