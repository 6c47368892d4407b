import asyncio
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from audit.records import Reader, UnitOfWork
from inference.errors import Duplicate, Overloaded, StorageUnavailable
from interop.lanes import MAX_TOGETHER, Job, Lane, Readers, Writer


class ListStore:
    """Runs jobs against nothing and remembers the groups. `failure` is raised by the commit."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.entered = threading.Event()
        self.proceed = threading.Event()
        self.proceed.set()
        self.failure: Exception | None = None

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Any]:
        self.entered.set()
        self.proceed.wait(5)
        self.groups.append(len(jobs))
        if self.failure:
            raise self.failure
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Any:
        try:
            return job(cast(UnitOfWork, None))
        except Duplicate as error:
            return error


def test_writes_that_come_together_are_committed_together() -> None:
    async def scenario() -> list[int]:
        store = ListStore()
        store.proceed.clear()
        writer = Writer(store)
        first = asyncio.ensure_future(writer.write(lambda _: 1))
        while not store.entered.is_set():
            await asyncio.sleep(0.001)
        rest = [asyncio.ensure_future(writer.write(lambda _, n=n: n)) for n in range(2, 12)]  # type: ignore[misc]
        await asyncio.sleep(0.01)
        store.proceed.set()
        assert await asyncio.gather(first, *rest) == list(range(1, 12))
        writer.close()
        return store.groups

    assert asyncio.run(scenario()) == [1, 10]


def test_a_failing_job_fails_alone() -> None:
    def refuse(_: UnitOfWork) -> int:
        raise Duplicate("seen before")

    async def scenario() -> list[Any]:
        writer = Writer(ListStore())
        outcomes = await asyncio.gather(writer.write(refuse), writer.write(lambda _: 2), return_exceptions=True)
        writer.close()
        return list(outcomes)

    failed, fine = asyncio.run(scenario())
    assert isinstance(failed, Duplicate)
    assert fine == 2


@pytest.mark.parametrize("failure", [StorageUnavailable("disk full"), RuntimeError("a defect")])
def test_a_failing_commit_reaches_every_caller_and_the_writer_goes_on(failure: Exception) -> None:
    async def scenario() -> tuple[list[Any], int]:
        store = ListStore()
        store.failure = failure
        writer = Writer(store)
        outcomes = await asyncio.gather(writer.write(lambda _: 1), writer.write(lambda _: 2), return_exceptions=True)
        store.failure = None
        after = await writer.write(lambda _: 3)
        writer.close()
        return list(outcomes), after

    outcomes, after = asyncio.run(scenario())
    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert after == 3


def test_closing_the_writer_commits_what_is_queued() -> None:
    async def scenario() -> list[int]:
        writer = Writer(ListStore())
        pending = [asyncio.ensure_future(writer.write(lambda _, n=n: n)) for n in range(5)]  # type: ignore[misc]
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        return list(await asyncio.gather(*pending))

    assert asyncio.run(scenario()) == [0, 1, 2, 3, 4]


def test_work_between_transactions_runs_in_the_writers_thread_in_turn() -> None:
    async def scenario() -> tuple[list[Any], list[int]]:
        store = ListStore()
        store.proceed.clear()
        writer = Writer(store)
        waiting = [
            asyncio.ensure_future(writer.write(lambda _: "a")),
            asyncio.ensure_future(writer.write(lambda _: "b")),
            asyncio.ensure_future(writer.between(lambda: threading.current_thread().name)),
            asyncio.ensure_future(writer.write(lambda _: "c")),
        ]
        await asyncio.sleep(0.01)
        store.proceed.set()
        outcomes = list(await asyncio.gather(*waiting))
        with pytest.raises(ZeroDivisionError):
            await writer.between(lambda: 1 / 0)
        writer.close()
        return outcomes, store.groups

    outcomes, groups = asyncio.run(scenario())
    assert outcomes == ["a", "b", "writer", "c"]
    assert sum(groups) == 3, "and it is no job of a transaction"


def test_a_caller_that_went_away_does_not_disturb_the_others() -> None:
    async def scenario() -> int:
        store = ListStore()
        store.proceed.clear()
        writer = Writer(store)
        gone = asyncio.ensure_future(writer.write(lambda _: 1))
        await asyncio.sleep(0.01)
        gone.cancel()
        store.proceed.set()
        value = await writer.write(lambda _: 2)
        writer.close()
        return value

    assert asyncio.run(scenario()) == 2


def test_the_lane_refuses_what_it_cannot_hold() -> None:
    async def scenario() -> tuple[list[Any], int]:
        lane, gate = Lane(limit=2), threading.Event()
        running = [asyncio.ensure_future(lane.run(lambda: gate.wait(5))) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await asyncio.gather(lane.run(lambda: True), return_exceptions=True)
        gate.set()
        await asyncio.gather(*running)
        waiting = lane.waiting
        lane.close()
        return list(refused), waiting

    refused, waiting = asyncio.run(scenario())
    assert isinstance(refused[0], Overloaded)
    assert waiting == 0


def test_the_lane_runs_one_thing_at_a_time() -> None:
    async def scenario() -> set[str]:
        lane = Lane(limit=10)
        names = await asyncio.gather(*(lane.run(lambda: threading.current_thread().name) for _ in range(8)))
        lane.close()
        return set(names)

    assert len(asyncio.run(scenario())) == 1


def test_readers_run_queries_off_the_event_loop() -> None:
    async def scenario() -> tuple[int, bool]:
        main = threading.get_ident()
        readers = Readers(lambda query: query(cast(Reader, None)))
        value, thread = await readers.read(lambda _: (7, threading.get_ident()))
        readers.close()
        return value, thread != main

    assert asyncio.run(scenario()) == (7, True)


def test_what_waits_for_the_lane_runs_together() -> None:
    async def scenario() -> tuple[list[int], list[list[int]]]:
        lane, gate, runs = Lane(limit=20), threading.Event(), []

        def work(items: Sequence[int]) -> list[int]:
            runs.append(list(items))
            return [10 * item for item in items]

        blocking = asyncio.ensure_future(lane.run(lambda: gate.wait(5)))
        await asyncio.sleep(0.01)
        waiting = [asyncio.ensure_future(lane.run_together(work, item)) for item in range(MAX_TOGETHER + 2)]
        await asyncio.sleep(0.01)
        gate.set()
        values = list(await asyncio.gather(*waiting))
        await blocking
        lane.close()
        return values, runs

    values, runs = asyncio.run(scenario())
    assert values == [10 * item for item in range(MAX_TOGETHER + 2)]
    assert runs == [list(range(MAX_TOGETHER)), [MAX_TOGETHER, MAX_TOGETHER + 1]]


def test_of_what_runs_together_each_gets_its_own_failure() -> None:
    def work(items: Sequence[int]) -> list[Any]:
        if 7 in items:
            raise ZeroDivisionError
        return [Duplicate("seen before") if item == 1 else item for item in items]

    async def scenario() -> list[Any]:
        lane = Lane(limit=20)
        together = await asyncio.gather(*(lane.run_together(work, item) for item in (1, 2)), return_exceptions=True)
        defect = await asyncio.gather(lane.run_together(work, 7), return_exceptions=True)
        lane.close()
        return [*together, *defect]

    refused, fine, defect = asyncio.run(scenario())
    assert isinstance(refused, Duplicate)
    assert fine == 2
    assert isinstance(defect, ZeroDivisionError)


def test_a_caller_that_gave_up_is_not_worked_for() -> None:
    async def scenario() -> tuple[list[int], int]:
        lane, gate = Lane(limit=20), threading.Event()
        seen: list[int] = []

        def work(items: Sequence[int]) -> list[int]:
            seen.extend(items)
            return list(items)

        blocking = asyncio.ensure_future(lane.run(lambda: gate.wait(5)))
        gone = asyncio.ensure_future(lane.run_together(work, 1))
        stays = asyncio.ensure_future(lane.run_together(work, 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0)
        gate.set()
        value = await stays
        await blocking
        lane.close()
        return seen, value

    assert asyncio.run(scenario()) == ([2], 2)


def test_the_thread_beside_the_lane_is_another_one() -> None:
    lane = Lane(limit=1)
    name = lane.beside(lambda: threading.current_thread().name).result(5)
    lane.close()
    assert name.startswith("beside")


def test_a_lane_is_idle_once_nothing_has_run_for_so_long() -> None:
    async def scenario() -> list[str]:
        lane, order, proceed = Lane(8), list[str](), threading.Event()

        async def wait() -> None:
            await lane.idle(0.05)
            order.append("idle")

        first = asyncio.ensure_future(lane.run(lambda: proceed.wait(5)))
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.08)
        proceed.set()
        await first
        order.append("first")
        await asyncio.sleep(0.02)
        await lane.run(lambda: order.append("second"))
        await asyncio.sleep(0.02)
        order.append("not yet")
        await waiting
        lane.close()
        return order

    assert asyncio.run(scenario()) == ["first", "second", "not yet", "idle"]
