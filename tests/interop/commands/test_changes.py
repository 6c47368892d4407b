"""`audit changes` for people; what it tells is in tests/interop/test_change_log.py and tests/e2e/test_changes.py."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from audit.records import AuditEntry, AuditEvent
from audit.store import open_store
from audit.upgrade import upgrade
from tests.fakes import NOW
from tests.interop.commands.conftest import Command

MODEL = {"name": "m", "version": "1.0.0", "status": "candidate", "sha256": "a" * 64, "waived": None}


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    """On a database with two starts, a day apart, the second in silent mode."""
    url = f"sqlite:///{tmp_path}/ecg.db"
    upgrade(url)
    store = open_store(url, chain_id="chain-a")
    with store.unit_of_work() as uow:
        for days, mode in enumerate(("live", "silent")):
            payload = orjson.dumps({"model": MODEL, "mode": mode, "shadow": None})
            uow.trail.append(
                AuditEntry(
                    event=AuditEvent.SERVICE_STARTED,
                    recorded_at=NOW + timedelta(days=days),
                    subject="service",
                    correlation_id="c",
                    payload=payload,
                )
            )
    store.close()
    monkeypatch.setenv("ECG_DATABASE_URL", url)
    return command


def test_each_change_is_a_line_with_what_it_was_and_what_it_became(ran: Command) -> None:
    done = ran("audit", "changes")
    assert (done.exit_code, done.err) == (0, "")
    head, *lines = done.out.decode().splitlines()
    assert head.split() == ["time", "(UTC)", "what", "from", "to", "by", "how", "why", "entry"]
    assert [line.split()[2:] for line in lines] == [
        ["model", "m", "1.0.0,", "candidate", "(aaaaaaaaaaaa)", "start", "chain-a", "2"],
        ["mode", "live", "start", "chain-a", "2"],
        ["mode", "live", "silent", "start", "chain-a", "3"],
    ]


def test_a_period_without_changes_says_so(ran: Command) -> None:
    assert ran("audit", "changes", "--from", (NOW + timedelta(days=2)).isoformat()).out == b"no changes\n"


def test_a_word_that_is_no_date_is_wrong_usage(ran: Command) -> None:
    assert ran("audit", "changes", "--to", "soon").exit_code == 2
