import asyncio
import logging
import threading
from pathlib import Path

import pytest

from audit.records import AcknowledgementState, ProcessingState, UnitOfWork
from interop.intake import Intake
from interop.mllp.marks import Marks
from tests.audit.values import received
from tests.interop.mllp.world import World

PENDING, DELIVERED = AcknowledgementState.PENDING, AcknowledgementState.DELIVERED
UNDELIVERED = AcknowledgementState.UNDELIVERED
MESSAGES = 30


def stored(uow: UnitOfWork) -> list[int]:
    items = [received(control_id=f"M{number}") for number in range(MESSAGES)]
    return [uow.inbox.add(item, ProcessingState.ANALYSED, PENDING) for item in items]


async def states(intake: Intake, ids: list[int]) -> list[AcknowledgementState]:
    return await intake.read(lambda reader: [reader.inbox.get(one).acknowledgement for one in ids])


def writes(intake: Intake) -> float:
    found = intake.metrics.registry.get_sample_value("ecg_write_seconds_count")
    assert found is not None
    return found


def test_many_at_once_are_stored_in_few_transactions_each_with_its_own_state(tmp_path: Path) -> None:
    async def run() -> None:
        async with World(tmp_path).intake() as intake:
            ids, marks = await intake.write(stored), Marks(intake)
            before = writes(intake)
            wanted = [UNDELIVERED if number % 3 else DELIVERED for number in range(len(ids))]
            await asyncio.gather(*(marks.mark(one, state) for one, state in zip(ids, wanted, strict=True)))
            assert await states(intake, ids) == wanted
            assert writes(intake) - before <= 2

    asyncio.run(run())


def test_one_that_comes_while_others_are_written_is_stored_next(tmp_path: Path) -> None:
    async def run() -> None:
        async with World(tmp_path).intake() as intake:
            ids, marks, gate = await intake.write(stored), Marks(intake), threading.Event()
            blocking = asyncio.ensure_future(intake.writer.between(lambda: gate.wait(5)))
            first = asyncio.ensure_future(marks.mark(ids[0], DELIVERED))
            await asyncio.sleep(0.01)
            second = asyncio.ensure_future(marks.mark(ids[1], DELIVERED))
            await asyncio.sleep(0.01)
            gate.set()
            await asyncio.gather(blocking, first, second)
            assert await states(intake, ids[:3]) == [DELIVERED, DELIVERED, PENDING]

    asyncio.run(run())


def test_a_connection_that_gives_up_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with World(tmp_path).intake() as intake:
            ids, marks = await intake.write(stored), Marks(intake)
            gone = asyncio.ensure_future(marks.mark(ids[0], DELIVERED))
            stays = asyncio.ensure_future(marks.mark(ids[1], DELIVERED))
            await asyncio.sleep(0)
            gone.cancel()
            await stays
            assert await states(intake, ids[:2]) == [DELIVERED, DELIVERED]

    asyncio.run(run())


def test_a_failure_of_the_store_is_logged_and_the_next_ones_are_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with World(tmp_path).intake() as intake:
            ids, marks = await intake.write(stored), Marks(intake)
            gate = threading.Event()
            object.__setattr__(intake, "storage_seconds", 0.05)
            blocking = asyncio.ensure_future(intake.writer.between(lambda: gate.wait(5)))
            await marks.mark(ids[0], DELIVERED)
            gate.set()
            await blocking
            await marks.mark(ids[1], DELIVERED)
            assert await states(intake, ids[:2]) == [PENDING, DELIVERED]

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert [record.message for record in caplog.records] == ["acknowledgement states not stored"]
