import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from audit.records import QueueRow, QueueState
from inference.errors import StorageUnavailable
from interop.delivery import LONGEST_PAUSE, MAX_ATTEMPTS, UNSETTLED, DeliveryWorker, pause_after
from interop.intake import Intake
from interop.lanes import BatchStore, Job
from interop.mllp.framing import frame
from tests.fakes import NOW
from tests.interop.mllp.receiver import Receiver, ack, always
from tests.interop.mllp.world import World
from tests.vectors.hl7 import oru

ANSWER_SECONDS = 0.4


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def row(control_id: str, destination: str, patient: str = "A", **given: Any) -> QueueRow:
    fields: dict[str, Any] = {"priority": 2, "created_at": NOW, "analysis_id": f"analysis-{control_id}"}
    content = oru.ADT.replace(b"M-0001", control_id.encode())
    return QueueRow(
        control_id=control_id, destination=destination, patient_key=patient, content=content, **fields | given
    )


@dataclass
class Delivery:
    intake: Intake
    worker: DeliveryWorker

    async def queue(self, *rows: QueueRow) -> None:
        await self.intake.write(lambda uow: [uow.outbox.add(row) for row in rows])
        self.worker.wake()

    async def states(self) -> dict[str, QueueState]:
        return {row.control_id: row.state for row in await self.rows()}

    async def rows(self) -> Sequence[QueueRow]:
        return await self.intake.read(lambda reader: reader.outbox.list(None, 1000))

    async def until(self, reached: Callable[[Sequence[QueueRow]], bool]) -> Sequence[QueueRow]:
        async with asyncio.timeout(20):
            while not reached(rows := await self.rows()):
                await asyncio.sleep(0.02)
            return rows


@asynccontextmanager
async def delivering(world: World) -> AsyncIterator[Delivery]:
    async with world.intake() as intake:
        worker = DeliveryWorker(intake, world.settings(), answer_seconds=ANSWER_SECONDS)
        worker.start()
        try:
            yield Delivery(intake, worker)
        finally:
            await worker.close()


def finished(*states: QueueState) -> Callable[[Sequence[QueueRow]], bool]:
    return lambda rows: all(row.state in (states or (QueueState.SENT,)) for row in rows)


def audited(world: World) -> list[tuple[str, str]]:
    """Event and subject of every audit entry about a result."""
    with closing(sqlite3.connect(world.folder / "ecg.sqlite")) as connection:
        return connection.execute("SELECT event, subject FROM audit_entries WHERE event LIKE 'result.%'").fetchall()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_queued_result_is_delivered_and_audited(world: World) -> None:
    async def work() -> None:
        async with Receiver().listening() as receiver, delivering(world) as delivery:
            await delivery.queue(row("R-1", f"127.0.0.1:{receiver.port}"))
            (sent,) = await delivery.until(finished())
            assert sent.attempts == 1
            assert receiver.received == ["R-1"]
            assert b'ecg_deliveries_total{outcome="sent"} 1.0' in delivery.intake.metrics.exposition()[0]
        assert audited(world) == [("result.delivered", "DiagnosticReport/analysis-R-1")]

    run(work())


def test_the_results_of_one_patient_arrive_in_their_order_and_urgent_patients_first(world: World) -> None:
    async def work() -> None:
        async with Receiver().listening() as receiver, delivering(world) as delivery:
            address = f"127.0.0.1:{receiver.port}"
            rows = [row(f"A-{number}", address, "A") for number in range(5)]
            rows += [row(f"B-{number}", address, "B", priority=0) for number in range(5)]
            await delivery.queue(*rows)
            await delivery.until(finished())
            assert [name for name in receiver.received if name.startswith("A")] == [f"A-{n}" for n in range(5)]
            assert [name for name in receiver.received if name.startswith("B")] == [f"B-{n}" for n in range(5)]
            assert receiver.received[0] == "B-0"

    run(work())


def test_a_rejected_result_is_dead_at_once_and_does_not_hold_back_the_next(world: World) -> None:
    async def work() -> None:
        receiver = Receiver(lambda control_id, _: frame(ack("AR" if control_id == "R-1" else "AA", control_id, "no")))
        async with receiver.listening(), delivering(world) as delivery:
            await delivery.queue(*(row(f"R-{number}", f"127.0.0.1:{receiver.port}") for number in (1, 2)))
            rows = await delivery.until(finished(QueueState.SENT, QueueState.DEAD))
            assert await delivery.states() == {"R-1": QueueState.DEAD, "R-2": QueueState.SENT}
            assert next(row.error for row in rows if row.control_id == "R-1") == "AR no"

    run(work())


def test_an_error_is_tried_again_after_a_pause_with_the_same_control_id(world: World) -> None:
    async def work() -> None:
        receiver = Receiver(lambda control_id, number: frame(ack("AE" if number == 1 else "AA", control_id)))
        async with receiver.listening(), delivering(world) as delivery:
            await delivery.queue(row("R-1", f"127.0.0.1:{receiver.port}"))
            (waiting,) = await delivery.until(lambda rows: rows[0].attempts == 1)
            assert (waiting.state, waiting.next_attempt_at) == (QueueState.WAITING, NOW + timedelta(seconds=1))
            await asyncio.sleep(0.1)
            assert receiver.received == ["R-1"]
            world.clock.now = NOW + timedelta(seconds=2)
            delivery.worker.wake()
            await delivery.until(finished())
            assert receiver.received == ["R-1", "R-1"]

    run(work())


@pytest.mark.parametrize("answer", ["AE", "silence"])
def test_the_last_attempt_makes_a_dead_letter(world: World, answer: str) -> None:
    async def work() -> None:
        receiver = Receiver(always("AE") if answer == "AE" else lambda _, __: b"")
        async with receiver.listening(), delivering(world) as delivery:
            await delivery.queue(row("R-1", f"127.0.0.1:{receiver.port}", attempts=MAX_ATTEMPTS - 1))
            await delivery.until(finished(QueueState.DEAD))
        assert audited(world) == [("result.dead", "DiagnosticReport/analysis-R-1")]

    run(work())


def test_one_destination_that_is_silent_or_away_does_not_block_another(world: World) -> None:
    async def work() -> None:
        silent, good = Receiver(lambda _, __: b""), Receiver()
        async with silent.listening(), good.listening(), delivering(world) as delivery:
            await delivery.queue(
                *(row(f"S-{number}", f"127.0.0.1:{silent.port}", f"S{number}") for number in range(20)),
                row("U-1", "127.0.0.1:1"),
                *(row(f"G-{number}", f"127.0.0.1:{good.port}", f"G{number}") for number in range(20)),
            )
            await good.until(20)
            assert len(silent.received) < 20

    run(work())


def test_what_could_not_be_sent_costs_no_attempt_and_goes_when_the_receiver_is_back(world: World) -> None:
    async def work() -> None:
        receiver = Receiver()
        async with receiver.listening():
            port = receiver.port
        async with delivering(world) as delivery:
            await delivery.queue(row("R-1", f"127.0.0.1:{port}"))
            await asyncio.sleep(0.2)
            ((waiting),) = await delivery.rows()
            assert (waiting.state, waiting.attempts) == (QueueState.WAITING, 0)
            async with receiver.listening(port):
                await delivery.until(finished())

    run(work())


def test_a_result_without_destination_is_held(world: World) -> None:
    async def work() -> None:
        async with delivering(world) as delivery:
            held = row("R-1", "", state=QueueState.HELD)
            await delivery.queue(held)
            await asyncio.sleep(0.1)
            assert await delivery.states() == {"R-1": QueueState.HELD}

    run(work())


def test_what_was_under_way_at_the_end_goes_again_after_the_restart(world: World) -> None:
    async def work() -> None:
        receiver = Receiver(lambda control_id, number: b"" if number == 1 else frame(ack("AA", control_id)))
        async with receiver.listening():
            async with delivering(world) as delivery:
                await delivery.queue(row("R-1", f"127.0.0.1:{receiver.port}"))
                await receiver.until(1)
            async with delivering(world) as delivery:
                await delivery.until(finished())
            assert receiver.received == ["R-1", "R-1"]

    run(work())


class FailingStore:
    """Stores nothing three times, then stores and says that it did not, then works."""

    def __init__(self, store: BatchStore) -> None:
        self._store = store
        self.batches = 0

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Any]:
        self.batches += 1
        if self.batches <= 3:
            raise StorageUnavailable("database: SQLITE_FULL")
        outcomes = self._store.run_batch(jobs)
        if self.batches == 4:
            raise StorageUnavailable("the connection is lost")
        return outcomes


def test_a_result_whose_outcome_cannot_be_stored_is_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, where the outbox can be read but not written."""
    monkeypatch.setattr("interop.delivery.FIRST_PAUSE", timedelta(milliseconds=50))

    async def work() -> None:
        async with Receiver().listening() as receiver, delivering(world) as delivery:
            # Not woken before the store fails, or its outcome would be stored.
            await delivery.intake.write(lambda uow: uow.outbox.add(row("R-1", f"127.0.0.1:{receiver.port}")))
            store = FailingStore(vars(delivery.intake.writer)["_store"])
            vars(delivery.intake.writer)["_store"] = store
            delivery.worker.wake()
            (sent,) = await delivery.until(finished())
            while store.batches < 5:
                await asyncio.sleep(0.02)
            assert receiver.received == ["R-1"]
            assert sent.attempts == 1
        assert audited(world) == [("result.delivered", "DiagnosticReport/analysis-R-1")]

    run(work())


class HeldStore:
    """Stores nothing until it is let."""

    def __init__(self, store: BatchStore) -> None:
        self._store = store
        self.let = Event()

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Any]:
        assert self.let.wait(20)
        return self._store.run_batch(jobs)


def test_results_go_on_while_the_outcome_of_the_last_ones_is_being_stored_but_not_without_end(world: World) -> None:
    async def work() -> None:
        async with Receiver().listening() as receiver, delivering(world) as delivery:
            store = HeldStore(vars(delivery.intake.writer)["_store"])
            number = 2 * UNSETTLED
            rows = [row(f"R-{n}", f"127.0.0.1:{receiver.port}", f"P-{n}") for n in range(number)]
            await delivery.intake.write(lambda uow: [uow.outbox.add(one) for one in rows])
            vars(delivery.intake.writer)["_store"] = store
            delivery.worker.wake()
            await receiver.until(UNSETTLED)
            await asyncio.sleep(0.3)  # no more come, and what was sent does not go again
            delivery.worker.wake()
            await asyncio.sleep(0.1)
            assert receiver.received == [f"R-{n}" for n in range(UNSETTLED)]
            store.let.set()
            sent = await delivery.until(finished())
            assert receiver.received == [f"R-{n}" for n in range(number)]
            assert {one.attempts for one in sent} == {1}

    run(work())


def test_one_of_two_processes_delivers_and_the_other_takes_over(world: World) -> None:
    async def work() -> None:
        leading = False

        async def leads() -> bool:
            return leading

        async with Receiver().listening() as receiver, world.intake() as intake:
            worker = DeliveryWorker(intake, world.settings(), leads=leads)
            worker.start()
            delivery = Delivery(intake, worker)
            await delivery.queue(row("R-1", f"127.0.0.1:{receiver.port}"))
            await asyncio.sleep(0.2)
            assert receiver.received == []
            leading = True
            await delivery.until(finished())
            await worker.close()

    run(work())


def test_pauses_double_up_to_a_limit() -> None:
    pauses = [pause_after(attempts) for attempts in range(1, 60)]
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
