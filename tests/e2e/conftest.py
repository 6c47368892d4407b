"""The real service as a process of its own, on free ports, on SQLite and on PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import make_url

from audit.store import Store, open_store
from tests.audit.conftest import create_database, postgresql

__all__ = ["postgresql"]  # the fixture: one server for the whole session

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 30


@dataclass(frozen=True)
class Service:
    """A running service. url: of HTTP. mllp: (host, port). database: the URL of its store. folder: of its log, and of
    an SQLite file. ready: the line that it printed. start_seconds: until then."""

    process: subprocess.Popen[str]
    url: str
    mllp: tuple[str, int]
    database: str
    ready: dict[str, Any]
    folder: Path
    start_seconds: float

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A second view of the service's store."""
        store = open_store(self.database, chain_id="test-reader")
        try:
            yield store
        finally:
            store.close()

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "serve.log").read_text()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL: nothing is drained, nothing is closed."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Nothing of the caller's own settings; an SQLite file in `folder` unless `database_url` is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
    given = {f"ECG_{name.upper()}": value for name, value in settings.items()}
    return inherited | {"ECG_DATABASE_URL": f"sqlite:///{folder}/ecg.db"} | given


def command(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `ecg-interop` with settings by their field names."""
    return command_of(ROOT, *arguments, folder=folder, **settings)


def command_of(program: Path, *arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The same of another version. program: the folder of its code."""
    return subprocess.run(
        [sys.executable, "-m", "interop.cli", *arguments],
        cwd=program, env=environment(folder, **settings), capture_output=True, text=True, timeout=90,
    )  # fmt: skip


@contextmanager
def running(folder: Path, program: Path = ROOT, /, **settings: str) -> Iterator[Service]:
    """Start `ecg-interop serve` with settings by their field names; stop it at the end. program: folder of its code."""
    variables = environment(folder, **{"allow_candidate": "true", **settings})
    started = perf_counter()
    with (folder / "serve.log").open("a") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "interop.cli", "serve", "--http-port", "0", "--mllp-port", "0"],
            stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=program, env=variables,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "serve.log").read_text()
        ready = json.loads(line)
        host, _, port = ready["mllp"].rpartition(":")
        database = variables["ECG_DATABASE_URL"]
        yield Service(process, ready["http"], (host, int(port)), database, ready, folder, perf_counter() - started)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def migrated(server: str, folder: Path) -> str:
    """A new database on a PostgreSQL server, migrated as an operator does it; gives its URL for `ECG_DATABASE_URL`."""
    url = unmigrated(server)
    done = command("db", "upgrade", folder=folder, database_url=url)
    assert done.returncode == 0, done.stderr
    return url


def unmigrated(server: str) -> str:
    """A new, empty database on a PostgreSQL server."""
    return create_database(server).replace("postgresql://", "postgresql+psycopg2://")


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database that stays empty, to be copied."""
    return migrated(postgresql, tmp_path_factory.mktemp("migrated"))


@pytest.fixture(params=["sqlite", "postgresql"])
def own_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database of each kind, ready to be served."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ecg.db"
    template = make_url(request.getfixturevalue("migrated_postgresql")).database
    return create_database(request.getfixturevalue("postgresql"), template).replace(
        "postgresql://", "postgresql+psycopg2://"
    )


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service on SQLite for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="session")
def postgresql_service(tmp_path_factory: pytest.TempPathFactory, postgresql: str) -> Iterator[Service]:
    """One service on PostgreSQL for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("postgresql")
    with running(folder, database_url=migrated(postgresql, folder)) as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Service:
    """The shared service on each database."""
    found: Service = request.getfixturevalue({"sqlite": "service", "postgresql": "postgresql_service"}[request.param])
    return found
