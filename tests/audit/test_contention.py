"""Two processes with one PostgreSQL database: whoever is in the other's way waits or goes again, and no job fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic

import pytest
from sqlalchemy import text

from audit import engine
from audit.engine import connect
from audit.failures import Contended
from audit.records import AcknowledgementState, ProcessingState, UnitOfWork
from audit.store import CONTENDED_RETRIES, Store, open_store
from inference.errors import Duplicate, StorageUnavailable
from tests.audit.values import entry, received

Claim = tuple[str, str] | None
WAIT_SECONDS = 10


@pytest.fixture
def processes(emptied_postgresql: str) -> Iterator[tuple[Store, Store]]:
    stores = open_store(emptied_postgresql, chain_id="chain-a"), open_store(emptied_postgresql, chain_id="chain-b")
    yield stores
    for store in stores:
        store.close()


def claiming(key: str, owner: str) -> Callable[[UnitOfWork], Claim]:
    def job(uow: UnitOfWork) -> Claim:
        uow.trail.append(entry(f"{owner} claims {key}"))
        return uow.documents.claim("identifier", key, owner, "d")

    return job


def then(first: Callable[[UnitOfWork], Claim], mine: Event, other: Event) -> Callable[[UnitOfWork], Claim]:
    """Do `first`, tell, and wait for the other process to be as far."""

    def job(uow: UnitOfWork) -> Claim:
        outcome = first(uow)
        mine.set()
        assert other.wait(WAIT_SECONDS)
        return outcome

    return job


def test_batches_that_claim_in_opposite_order_both_get_through(processes: tuple[Store, Store]) -> None:
    a_holds, b_holds = Event(), Event()
    batches = (
        [then(claiming("x", "a"), a_holds, b_holds), claiming("y", "a")],
        [then(claiming("y", "b"), b_holds, a_holds), claiming("x", "b")],
    )
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(lambda store, jobs: store.run_batch(jobs), processes, batches)
    assert a == [None, ("b", "d")]
    assert b == [None, ("a", "d")]
    report = processes[0].verify()
    assert report.problems == ()
    assert report.entries == 2 + 4, "each job once, and the first entry of each chain"


def test_the_same_item_in_two_processes_is_one_row_and_one_duplicate(processes: tuple[Store, Store]) -> None:
    started = Event()

    def slowly(uow: UnitOfWork) -> int:
        row = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        started.set()
        return row

    def meanwhile(uow: UnitOfWork) -> int:
        assert started.wait(WAIT_SECONDS)
        return uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda store, job: store.run_batch([job]), processes, (slowly, meanwhile))
    assert isinstance(first[0], int)
    assert isinstance(second[0], Duplicate)


def test_who_is_in_the_way_for_ever_makes_the_job_fail_in_the_end(processes: tuple[Store, Store]) -> None:
    runs = 0

    def unlucky(uow: UnitOfWork) -> None:
        nonlocal runs
        runs += 1
        raise Contended("database: 40P01")

    (outcome,) = processes[0].run_batch([unlucky])
    assert isinstance(outcome, StorageUnavailable)
    assert runs == 1 + CONTENDED_RETRIES


def test_a_process_that_stands_still_in_a_transaction_holds_nobody_up_for_long(
    emptied_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_SECONDS", 1)
    still, other = connect(emptied_postgresql), open_store(emptied_postgresql, chain_id="chain-b")
    with still.writer.connect() as connection:
        connection.execute(text("INSERT INTO claims (scope, key, owner, digest) VALUES ('identifier', 'x', 'a', 'd')"))
        started = monotonic()
        outcomes = other.run_batch([claiming("x", "b")])
        if isinstance(outcomes[0], StorageUnavailable):  # its own patience ended first
            outcomes = other.run_batch([claiming("x", "b")])
        assert outcomes == [None], "the server has ended the other's transaction"
        assert monotonic() - started < WAIT_SECONDS
        connection.invalidate()
    still.dispose()
    other.close()
