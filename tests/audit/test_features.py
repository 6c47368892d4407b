from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import make_url

from audit.records import UnitOfWork
from audit.store import Store, open_store
from inference.errors import StorageUnavailable
from tests.audit.conftest import run_statements
from tests.audit.values import NOW, features


def adding(*numbers: int) -> Callable[[UnitOfWork], None]:
    def job(uow: UnitOfWork) -> None:
        for number in numbers:
            uow.features.add(features(number), NOW)

    return job


def known(store: Store, *numbers: int) -> list[int]:
    return [number for number in numbers if store.known_features(features(number).key) is not None]


def test_a_row_comes_back_as_it_was_stored(store: Store) -> None:
    store.run_batch([adding(7)])
    assert store.known_features(features(7).key) == features(7)
    assert store.known_features(features(8).key) is None
    with store.reader() as reader:
        assert reader.features.find(features(7).key) == features(7)


def test_the_first_row_of_a_key_stays_and_a_second_one_is_no_error(store: Store) -> None:
    store.run_batch([adding(7)])
    outcomes = store.run_batch([lambda uow: uow.features.add(replace(features(7), features=b"other"), NOW), adding(8)])
    assert outcomes == [None, None]
    assert store.known_features(features(7).key) == features(7)
    assert known(store, 8) == [8]


def test_a_row_stands_or_falls_with_its_transaction(store: Store) -> None:
    def failing(uow: UnitOfWork) -> None:
        adding(7)(uow)
        raise KeyError("a defect in a job")

    store.run_batch([failing, adding(8)])
    assert known(store, 7, 8) == [8]


def test_the_oldest_rows_are_deleted_a_few_at_a_time(store: Store) -> None:
    store.run_batch([adding(*range(10))])
    pruned = [store.run_batch([lambda uow: uow.features.prune(newest=3, at_most=4)])[0] for _ in range(3)]
    assert pruned == [4, 3, 0]
    assert known(store, *range(10)) == [7, 8, 9]
    store.run_batch([adding(10)])
    assert store.run_batch([lambda uow: uow.features.prune(newest=0, at_most=100)]) == [4]
    assert known(store, *range(11)) == []


def test_an_empty_table_needs_no_pruning(store: Store) -> None:
    assert store.run_batch([lambda uow: uow.features.prune(newest=0, at_most=100)]) == [0]


def test_looking_up_does_not_wait_for_the_writer_nor_see_what_it_has_not_committed(store: Store) -> None:
    with ThreadPoolExecutor(1) as elsewhere, store.unit_of_work() as uow:
        adding(7)(uow)
        assert elsewhere.submit(known, store, 7).result(timeout=5) == []
    assert known(store, 7) == [7]


def test_after_a_lost_postgresql_connection_one_lookup_fails_and_the_next_one_finds(emptied_postgresql: str) -> None:
    store = open_store(emptied_postgresql, chain_id="chain-a")
    store.run_batch([adding(7)])
    assert known(store, 7) == [7]
    name = make_url(emptied_postgresql).database
    run_statements(
        emptied_postgresql,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()",
    )
    with pytest.raises(StorageUnavailable):
        known(store, 7)
    assert known(store, 7) == [7]
    store.close()


def test_two_processes_may_store_the_same_row_at_once(emptied_postgresql: str) -> None:
    first, second = (open_store(emptied_postgresql, chain_id=name) for name in ("chain-a", "chain-b"))
    with ThreadPoolExecutor(1) as elsewhere:
        with first.unit_of_work() as uow:
            adding(7)(uow)
            other = elsewhere.submit(second.run_batch, [adding(7)])
        assert other.result(timeout=10) == [None]
    assert known(second, 7) == [7]
    first.close()
    second.close()
