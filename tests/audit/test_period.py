from dataclasses import replace
from datetime import datetime

import pytest

from audit.chain import Head, Verifier
from audit.period import Period
from audit.records import AuditEntry
from audit.store import Store, open_store
from tests.audit.conftest import run_statements
from tests.audit.values import at, entry


def fill(store: Store, *seconds: float) -> None:
    for n in seconds:
        with store.unit_of_work() as uow:
            uow.trail.append(entry_at(n))


def entry_at(seconds: float) -> AuditEntry:
    return replace(entry(f"Analysis/{seconds}"), recorded_at=at(seconds))


def numbers(store: Store, begin: datetime, end: datetime) -> list[tuple[str, int]]:
    with store.period(begin, end) as period:
        return [(link.chain_id, link.seq) for link in period.links()]


def holds(period: Period) -> bool:
    verifier = Verifier([], period.before)
    for link in period.links():
        verifier.check(link)
    return not verifier.finish().problems


def test_a_period_begins_at_its_first_moment_and_ends_before_its_last(store: Store) -> None:
    fill(store, 0, 10, 20, 30)  # entries 2 to 5: the first one opens the chain, at the time of the second
    assert numbers(store, at(10), at(30)) == [("chain-a", 3), ("chain-a", 4)]
    assert numbers(store, at(0), at(0.000001)) == [("chain-a", 1), ("chain-a", 2)]
    assert numbers(store, at(40), at(50)) == []


def test_it_knows_what_stands_before_and_what_is_the_last(store: Store) -> None:
    fill(store, 0, 10, 20, 30)
    with store.period(at(10), at(30)) as period:
        links = list(period.links())
        assert period.before["chain-a"] == Head(2, links[0].prev_hash)
        assert period.after["chain-a"] == Head(4, links[-1].hash)
        assert period.newest["chain-a"].seq == 5
        assert holds(period)
    with store.period(at(0), at(1)) as period:
        assert period.before == {"chain-a": Head()}


def test_of_each_chain_it_has_a_run_without_gaps_though_times_are_not_in_order(store: Store, migrated_url: str) -> None:
    fill(store, 0, 12, 31, 14, 40)
    other = open_store(migrated_url, chain_id="chain-b")
    fill(other, 13)
    other.close()
    expected = [("chain-a", 3), ("chain-a", 4), ("chain-a", 5), ("chain-b", 1), ("chain-b", 2)]
    assert numbers(store, at(10), at(20)) == expected
    with store.period(at(10), at(20)) as period:
        assert holds(period)


@pytest.mark.parametrize("missing", [2, 3])
def test_a_missing_entry_shows(store: Store, migrated_url: str, missing: int) -> None:
    fill(store, 0, 10, 20, 30)
    run_statements(migrated_url, f"DELETE FROM audit_entries WHERE seq = {missing}")
    with store.period(at(0) if missing == 3 else at(10), at(40)) as period:
        assert not holds(period)
