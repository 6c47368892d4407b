from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from audit.engine import connect
from audit.leader import Leader
from tests.audit.conftest import run_statements


@pytest.fixture
def candidate(migrated_url: str) -> Iterator[Callable[[], Leader]]:
    """Makes processes that would lead."""
    opened = []

    def make() -> Leader:
        engines = connect(migrated_url)
        opened.append((engines, leader := Leader(engines.writer)))
        return leader

    yield make
    for engines, leader in opened:
        leader.resign()
        engines.dispose()


def test_the_first_who_asks_leads_and_goes_on_leading(candidate: Callable[[], Leader]) -> None:
    leader = candidate()
    assert [leader.leads(), leader.leads()] == [True, True]


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_only_one_leads_until_it_resigns(candidate: Callable[[], Leader]) -> None:
    first, second = candidate(), candidate()
    assert (first.leads(), second.leads(), first.leads()) == (True, False, True)
    first.resign()
    assert (second.leads(), first.leads()) == (True, False)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_who_has_lost_its_session_leads_no_more(candidate: Callable[[], Leader], migrated_url: str) -> None:
    first, second = candidate(), candidate()
    assert first.leads()
    engines = connect(migrated_url)
    with engines.writer.connect() as connection:
        holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = " \
            "(SELECT oid FROM pg_database WHERE datname = current_database())"  # fmt: skip
        pid = connection.execute(text(holder)).scalar_one()
    engines.dispose()
    run_statements(migrated_url, f"SELECT pg_terminate_backend({pid}, 5000)")
    assert (second.leads(), first.leads()) == (True, False)
