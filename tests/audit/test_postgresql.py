"""The server that tests of the store run on: the one that ECG_TEST_DATABASE_URL names, where it names one."""

import os
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from audit.engine import database_url
from tests.conftest import ROOT

SECONDS = 100
ONE_TEST = "tests/audit/test_leader.py::test_only_one_leads_until_it_resigns"


def _run(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", ONE_TEST],
        cwd=ROOT,
        env={**os.environ, "ECG_TEST_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _value(server: str, query: str) -> Any:
    engine = create_engine(database_url(server))
    with engine.connect() as connection:
        found = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return found


@pytest.mark.slow
def test_databases_of_tests_are_made_on_the_server_that_is_named(postgresql: str) -> None:
    made = "SELECT max(oid::bigint) FROM pg_class"
    named = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"
    before, highest = _value(postgresql, named), _value(postgresql, made)
    done = _run(postgresql)
    assert done.returncode == 0, done.stdout
    assert _value(postgresql, named) == before
    engine = create_engine(database_url(postgresql), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE probe ()")
    engine.dispose()
    assert _value(postgresql, made) > highest + 20, "no table was made there meanwhile"


@pytest.mark.slow
def test_nothing_else_is_used_when_that_server_is_away(postgresql: str) -> None:
    away = make_url(postgresql).update_query_dict({"host": "/nowhere"}).render_as_string(hide_password=False)
    done = _run(away)
    assert done.returncode != 0
    assert "/nowhere" in done.stdout
