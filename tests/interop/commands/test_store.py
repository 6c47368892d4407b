"""The commands on the store, on an SQLite file with one ECG in it."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from actions.analysis import Door
from audit.records import (
    AcknowledgementState,
    AuditEntry,
    AuditEvent,
    ProcessingState,
    QueueRow,
    QueueState,
    Received,
    UnitOfWork,
)
from audit.schema import REVISION
from audit.store import open_store
from audit.upgrade import upgrade
from tests.fakes import NOW
from tests.interop.commands.conftest import Command, Outcome

MESSAGE = b"MSH|^~\\&|CARDIO|GENERAL\rPID|1||4711\r"
RESULT = "R-1"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, command: Command, database: Path) -> Command:
    """Run a command on the database."""
    monkeypatch.setenv("ECG_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("COLUMNS", "200")
    return command


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ecg.db"


def entry(number: int) -> AuditEntry:
    return AuditEntry(
        event=AuditEvent.MESSAGE_IGNORED,
        recorded_at=NOW + timedelta(seconds=number),
        subject=f"inbox/{number}",
        correlation_id=f"correlation-{number}",
        payload=b"{}",
    )


def write(database: Path, *jobs: Callable[[UnitOfWork], object], chain: str = "chain-a") -> None:
    store = open_store(f"sqlite:///{database}", chain_id=chain)
    try:
        for job in jobs:
            with store.unit_of_work() as uow:
                job(uow)
    finally:
        store.close()


@pytest.fixture
def filled(database: Path) -> Path:
    """A message received, a result that is dead, three entries in the audit trail."""
    upgrade(f"sqlite:///{database}")
    received = Received(
        door=Door.MLLP, content=MESSAGE, media_type="x-application/hl7-v2+er7", received_at=NOW,
        correlation_id="correlation-1", sender="CARDIO|GENERAL", control_id="M-1",
    )  # fmt: skip
    result = QueueRow(
        destination="ehr.example:2575", patient_key="GENERAL|4711", priority=1, control_id=RESULT, content=MESSAGE,
        analysis_id="a-1", created_at=NOW,
    )  # fmt: skip
    write(
        database,
        lambda uow: uow.inbox.add(received, ProcessingState.NOTHING_TO_ANALYSE, AcknowledgementState.DELIVERED),
        lambda uow: uow.outbox.failed(uow.outbox.add(result), "AR no such patient", None),
        *(lambda uow, n=n: uow.trail.append(entry(n)) for n in range(3)),
    )
    return database


def tamper(database: Path, statement: str) -> None:
    """As somebody with access to the file would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount > 0


def one_line(ran: Outcome) -> str:
    """What was said on stderr, which is one line and no traceback."""
    (line,) = ran.err.strip().splitlines()
    assert "Traceback" not in line
    return line


def test_a_new_database_is_made_by_upgrade_and_a_current_one_is_left_alone(ran: Command, database: Path) -> None:
    first, second = ran("db", "upgrade"), ran("db", "upgrade")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.out.decode().startswith("schema none -> ")
    revision = first.out.decode().split()[-1]
    assert second.out.decode().strip() == f"schema {revision} -> {revision}"
    assert database.exists()


def test_a_database_of_a_later_version_is_not_touched(ran: Command, filled: Path) -> None:
    tamper(filled, "UPDATE alembic_version SET version_num = '9999'")
    tamper(filled, "UPDATE compatibility SET oldest_schema = '9999'")
    failed = ran("db", "upgrade")
    assert failed.exit_code == 1
    assert "at schema 9999, on which this version" in one_line(failed)


def test_an_operator_goes_back_only_on_purpose(ran: Command, filled: Path) -> None:
    assert ran("db", "downgrade", "0008").exit_code == 1  # nobody answers the question
    done = ran("db", "downgrade", "0008", "--yes")
    assert done.exit_code == 0
    assert done.out.decode().startswith(f"schema {REVISION} -> 0008, copy in {filled}.before-migration-from-{REVISION}")
    failed = ran("db", "downgrade", "0042", "--yes")
    assert "no schema 0042 before 0008" in one_line(failed)


@pytest.mark.parametrize(
    "words",
    [("audit", "verify"), ("inbox", "list"), ("inbox", "show", "1"), ("outbox", "list"), ("outbox", "retry", "1")],
)  # fmt: skip
def test_without_a_database_a_command_says_where_it_looked(
    ran: Command, database: Path, words: tuple[str, ...]
) -> None:
    failed = ran(*words)
    assert failed.exit_code == 1
    assert str(database) in one_line(failed)
    assert not database.exists()


def test_an_intact_trail_is_verified(ran: Command, filled: Path) -> None:
    verified = ran("audit", "verify")
    assert (verified.exit_code, verified.err) == (0, "")
    assert verified.out.decode().strip() == "4 entries in 1 chains: intact"


def test_a_verified_trail_is_json_for_a_program(ran: Command, filled: Path) -> None:
    verified = ran("audit", "verify", "--json")
    document = json.loads(verified.out)
    assert (verified.exit_code, document["entries"], document["problems"]) == (0, 4, [])
    assert document["heads"]["chain-a"][0] == 4


def test_a_changed_entry_is_found_and_named(ran: Command, filled: Path) -> None:
    tamper(filled, "UPDATE audit_entries SET subject = 'inbox/666' WHERE seq = 3")
    found = ran("audit", "verify")
    assert found.exit_code == 1
    assert "chain chain-a entry 3" in found.err
    assert "Traceback" not in found.err
    document = json.loads(ran("audit", "verify", "--json").out)
    assert [(problem["chain"], problem["seq"]) for problem in document["problems"]] == [("chain-a", 3)]


def test_a_missing_entry_is_found(ran: Command, filled: Path) -> None:
    tamper(filled, "DELETE FROM audit_entries WHERE seq = 2")
    assert ran("audit", "verify").exit_code == 1


def test_a_cut_end_is_found_by_heads_that_were_kept_elsewhere(ran: Command, filled: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    assert ran("audit", "verify", "--save", str(heads)).exit_code == 0
    tamper(filled, "DELETE FROM audit_entries WHERE seq = 4")
    tamper(filled, "UPDATE audit_heads SET seq = 0")
    assert ran("audit", "verify").exit_code == 0, "nothing inside the database shows it"
    found = ran("audit", "verify", "--head", str(heads))
    assert found.exit_code == 1
    assert "chain-a" in found.err


def test_the_heads_of_a_broken_trail_do_not_replace_good_ones(ran: Command, filled: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    ran("audit", "verify", "--save", str(heads))
    kept = heads.read_text()
    tamper(filled, "DELETE FROM audit_entries WHERE seq = 4")
    assert ran("audit", "verify", "--head", str(heads), "--save", str(heads)).exit_code == 1
    assert heads.read_text() == kept


@pytest.mark.parametrize("content", ["", "[]", '{"chain-a": 4}', '{"chain-a": ["four", "x"]}', "\ufffd"])
def test_a_file_that_holds_no_heads_is_wrong_usage(ran: Command, filled: Path, tmp_path: Path, content: str) -> None:
    heads = tmp_path / "heads.json"
    heads.write_text(content)
    refused = ran("audit", "verify", "--head", str(heads))
    assert refused.exit_code == 2
    assert str(heads) in one_line(refused)


def test_heads_that_cannot_be_saved_are_a_failure(ran: Command, filled: Path, tmp_path: Path) -> None:
    failed = ran("audit", "verify", "--save", str(tmp_path / "absent" / "heads.json"))
    assert failed.exit_code == 1
    assert one_line(failed) == f"{tmp_path}/absent/heads.json: No such file or directory"


def test_received_items_are_listed(ran: Command, filled: Path) -> None:
    listed = ran("inbox", "list")
    assert listed.exit_code == 0
    for expected in ("M-1", "CARDIO|GENERAL", "mllp", "delivered", "2026-03-02 09:30:00Z"):
        assert expected in listed.out.decode()
    assert b"4711" not in listed.out, "a list is no place for patients"


def test_received_items_are_json_for_a_program(ran: Command, filled: Path) -> None:
    (item,) = json.loads(ran("inbox", "list", "--json").out)
    assert (item["id"], item["control_id"], item["analysis"]) == (1, "M-1", None)


def test_a_received_item_is_shown_as_it_came(ran: Command, filled: Path) -> None:
    shown = ran("inbox", "show", "1")
    assert (shown.exit_code, shown.out) == (0, MESSAGE.replace(b"\r", b"\n"))


def test_outbound_messages_are_listed_by_state(ran: Command, filled: Path) -> None:
    (message,) = json.loads(ran("outbox", "list", "--json").out)
    assert (message["control_id"], message["state"], message["error"]) == (RESULT, "dead", "AR no such patient")
    assert RESULT in ran("outbox", "list", "--state", "dead").out.decode()
    assert json.loads(ran("outbox", "list", "--state", "waiting", "--json").out) == []


def test_a_dead_message_waits_again_after_retry(ran: Command, filled: Path) -> None:
    assert ran("outbox", "retry", "1").exit_code == 0
    (message,) = json.loads(ran("outbox", "list", "--json").out)
    assert (message["state"], message["attempts"]) == (QueueState.WAITING, 0)
    again = ran("outbox", "retry", "1")
    assert again.exit_code == 2
    assert one_line(again) == "no dead or held message 1"


def test_a_held_message_needs_a_destination(ran: Command, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(filled, "UPDATE outbox SET state = 'held', destination = NULL")
    failed = ran("outbox", "retry", "1")
    assert failed.exit_code == 1
    assert "destination" in one_line(failed)
    monkeypatch.setenv("ECG_OUTBOUND_MLLP", "ehr.example:2575")
    assert ran("outbox", "retry", "1").exit_code == 0


def test_a_database_that_is_none_is_a_failure(ran: Command, database: Path) -> None:
    database.write_bytes(b"not a database at all" * 1000)
    failed = ran("inbox", "list")
    assert failed.exit_code == 1
    assert "SQLITE_NOTADB" in one_line(failed)


@pytest.mark.parametrize(
    "words",
    [("inbox", "show", "99"), ("inbox", "show", "first"), ("inbox", "show"), ("inbox", "list", "--limit", "0"),
     ("outbox", "retry", "99"), ("outbox", "list", "--state", "lost"), ("audit", "verify", "--head", "absent.json"),
     ("audit", "very"), ("db", "upgrade", "--now"), ("nonsense",)],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(ran: Command, filled: Path, words: tuple[str, ...]) -> None:
    refused = ran(*words)
    assert (refused.exit_code, refused.out) == (2, b"")
    assert one_line(refused)


@pytest.mark.parametrize("words", [(), ("db",), ("audit",), ("inbox",), ("outbox",)], ids=" ".join)
def test_a_group_alone_shows_what_it_has(ran: Command, filled: Path, words: tuple[str, ...]) -> None:
    shown = ran(*words)
    assert shown.exit_code == 2
    assert b"Usage" in shown.out
