"""The real service as a process of its own, on free ports and a database of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.store import Store, open_store

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@dataclass(frozen=True)
class Service:
    """A running service. url: of HTTP. mllp: (host, port). database: the URL of its store."""

    process: subprocess.Popen[str]
    url: str
    mllp: tuple[str, int]
    database: str
    ready: dict[str, Any]
    log: Path

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A second view of the service's store."""
        store = open_store(self.database, chain_id="test-reader")
        try:
            yield store
        finally:
            store.close()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Service]:
    """Start `ecg-interop serve` with settings by their field names; stop it at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
    database = f"sqlite:///{folder}/ecg.db"
    environment |= {"ECG_DATABASE_URL": database, "ECG_ALLOW_CANDIDATE": "true"}
    environment |= {f"ECG_{name.upper()}": value for name, value in settings.items()}
    log = folder / "serve.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "interop.cli", "serve", "--http-port", "0", "--mllp-port", "0"],
            stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        ready = json.loads(line)
        host, _, port = ready["mllp"].rpartition(":")
        yield Service(process, ready["http"], (host, int(port)), environment["ECG_DATABASE_URL"], ready, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module."""
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started
