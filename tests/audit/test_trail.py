import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from audit.engine import connect
from audit.records import UnitOfWork
from audit.store import Store, open_store
from tests.audit.conftest import run_statements
from tests.audit.values import NOW, at, entry


def fill(store: Store, count: int = 4) -> None:
    for n in range(count):
        with store.unit_of_work() as uow:
            uow.trail.append(entry(f"Analysis/{n}"))


def problems(store: Store) -> list[str]:
    return [f"{problem.chain_id}: {problem.text}" for problem in store.verify().problems]


def first_payload(url: str, chain_id: str) -> dict[str, object]:
    engines = connect(url)
    query = text("SELECT payload FROM audit_entries WHERE chain_id = :chain AND seq = 1")
    with engines.reader.connect() as connection:
        payload: dict[str, object] = json.loads(bytes(connection.execute(query, {"chain": chain_id}).scalar_one()))
    engines.dispose()
    return payload


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("chain_id = 'chain-b'", True),
        ("seq = 99", True),
        ("prev_hash = hash", True),
        ("hash = prev_hash", True),
        ("event = 'mode.changed'", True),
        ("recorded_at = '2026-01-31 12:00:00.123457'", True),
        ("subject = 'Analysis/9'", True),
        ("correlation_id = 'c-2'", True),
        ("payload_sha256 = hash", True),
        ("payload = CAST('{}' AS {bytes})", True),
        ("payload = '{}'", True),
        ("payload = NULL", False),
    ],
)
def test_a_change_in_the_database_is_found_and_a_deleted_payload_is_none(
    store: Store, migrated_url: str, change: str, found: bool
) -> None:
    fill(store)
    assert problems(store) == []
    kind = "blob" if migrated_url.startswith("sqlite") else "bytea"
    run_statements(migrated_url, f"UPDATE audit_entries SET {change.replace('{bytes}', kind)} WHERE seq = 3")
    assert bool(problems(store)) == found


def test_a_deleted_entry_is_found(store: Store, migrated_url: str) -> None:
    fill(store)
    run_statements(migrated_url, "DELETE FROM audit_entries WHERE seq = 3")
    assert problems(store) == ["chain-a: entry 3 is missing: the next one stored is entry 4"]


def test_a_cut_end_is_found_by_the_noted_head_and_by_the_kept_one(store: Store, migrated_url: str) -> None:
    fill(store)
    kept = store.export_heads()
    store.write_heads(NOW)
    run_statements(migrated_url, "DELETE FROM audit_entries WHERE seq > 3")
    assert problems(store) == ["chain-a: entry 4 is missing: audit_heads names entry 5"]
    run_statements(migrated_url, "DELETE FROM audit_heads")
    assert problems(store) == []
    (problem,) = store.verify(kept).problems
    assert problem.text == "entry 4 is missing: the heads file names entry 5"


def test_a_chain_that_vanished_is_found_by_the_chain_that_came_after_it(store: Store, migrated_url: str) -> None:
    fill(store)
    later = open_store(migrated_url, chain_id="chain-b")
    fill(later)
    assert problems(later) == []
    run_statements(migrated_url, "DELETE FROM audit_entries WHERE chain_id = 'chain-a'", "DELETE FROM audit_heads")
    assert problems(later) == ["chain-a: entry 1 is missing: the first entry of chain chain-b names entry 5"]
    later.close()


def test_a_first_entry_names_only_heads_that_none_before_it_names(store: Store, migrated_url: str) -> None:
    fill(store)
    kept = {chain_id: list(head) for chain_id, head in store.export_heads().items()}
    for chain_id in ("chain-b", "chain-c"):
        later = open_store(migrated_url, chain_id=chain_id)
        fill(later, 1)
        later.close()
    assert first_payload(migrated_url, "chain-a") == {"heads": {}}
    assert first_payload(migrated_url, "chain-b") == {"heads": kept}
    named = first_payload(migrated_url, "chain-c")["heads"]
    assert isinstance(named, dict)
    assert list(named) == ["chain-b"]


def test_a_failed_unit_of_work_leaves_no_gap(store: Store) -> None:
    fill(store, 2)

    def fails(uow: UnitOfWork) -> None:
        uow.trail.append(entry("Analysis/lost"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.unit_of_work() as uow:
        fails(uow)
    (failed,) = store.run_batch([fails])
    assert isinstance(failed, ZeroDivisionError)
    fill(store, 1)
    assert problems(store) == []
    assert store.export_heads()["chain-a"][0] == 4


def test_an_entry_with_a_naive_time_fails_its_own_unit_of_work_only(store: Store) -> None:
    naive = replace(entry(), recorded_at=NOW.replace(tzinfo=None))
    outcomes = store.run_batch([lambda uow: uow.trail.append(naive), lambda uow: uow.trail.append(entry())])
    assert [type(outcome) for outcome in outcomes] == [ValueError, type(None)]
    assert problems(store) == []


def test_a_reopened_chain_goes_on_where_it_ended(store: Store, migrated_url: str) -> None:
    fill(store, 2)
    again = open_store(migrated_url, chain_id="chain-a")
    fill(again, 2)
    assert problems(again) == []
    assert again.export_heads()["chain-a"][0] == 5
    again.close()


def test_a_second_writer_of_the_same_chain_costs_one_refused_commit_and_no_entry(
    store: Store, migrated_url: str
) -> None:
    fill(store, 1)
    other = open_store(migrated_url, chain_id="chain-a")
    fill(other, 1)
    refused = store.run_batch([lambda uow: uow.trail.append(entry("Analysis/refused"))])
    assert "another process" in str(refused[0])
    fill(store, 1)
    assert problems(store) == []
    assert store.verify().entries == 4
    other.close()


def test_a_chain_goes_on_from_what_a_restored_database_holds(emptied_postgresql: str) -> None:
    """The process lives on while its database is replaced by an older copy, or by a standby that lacks some commits.
    The next entry follows the newest one there is, whatever the process remembers."""
    store = open_store(emptied_postgresql, chain_id="chain-a")
    fill(store, 4)
    restored = (
        "DELETE FROM audit_entries WHERE seq > 3",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    run_statements(emptied_postgresql, *restored)
    store.write_heads(NOW)
    fill(store, 1)
    assert problems(store) == []
    assert store.export_heads()["chain-a"][0] == 4
    store.close()


def test_noted_heads_only_move_forward(store: Store, migrated_url: str) -> None:
    fill(store, 1)
    old = open_store(migrated_url, chain_id="chain-a")
    assert old.write_heads(NOW)["chain-a"][0] == 2
    fill(store, 1)
    store.write_heads(at(60))
    fill(store, 1)
    assert problems(store) == []
    old.close()


def test_texts_that_no_database_takes_are_stored_as_they_were_hashed(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.trail.append(entry("nul\0 lone\ud800 é"))
    assert problems(store) == []
