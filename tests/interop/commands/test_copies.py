"""`db backup`, `db restore`, and heads from the log, on an SQLite file that is in use."""

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from audit.lock import hold_lock
from audit.store import Store, open_store
from audit.upgrade import upgrade
from tests.audit.values import NOW, entry
from tests.interop.commands.conftest import Command


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "store" / "ecg.db"
    monkeypatch.setenv("ECG_DATABASE_URL", f"sqlite:///{file}")
    monkeypatch.setenv("COLUMNS", "300")
    return file


@pytest.fixture
def served(database: Path) -> Store:
    upgrade(f"sqlite:///{database}")
    return open_store(f"sqlite:///{database}", chain_id="chain-a")


def add(store: Store, subject: str) -> None:
    with store.unit_of_work() as uow:
        uow.trail.append(entry(subject))


def subjects(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT subject FROM audit_entries WHERE seq > 1 ORDER BY seq")]


def test_a_copy_beside_the_service_holds_what_is_still_in_the_log_and_comes_back(
    command: Command, served: Store, database: Path, tmp_path: Path
) -> None:
    add(served, "inbox/1")  # nothing has moved it into the file yet
    copied = command("db", "backup", tmp_path / "copy.db")
    add(served, "inbox/2")
    assert (copied.exit_code, copied.err) == (0, "")
    assert b"whole" in copied.out
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["copy.db"]
    log = Path(f"{database}-wal").read_bytes()
    served.close()
    Path(f"{database}-wal").write_bytes(log)  # as kill -9 leaves it: played into another file it would destroy that one
    restored = command("db", "restore", tmp_path / "copy.db")
    assert restored.exit_code == 0, restored.err
    assert subjects(database) == ["inbox/1"]
    (kept,) = [path for path in database.parent.glob("ecg.db.replaced-*") if not path.name.endswith(("-wal", "-shm"))]
    assert subjects(kept) == ["inbox/1", "inbox/2"]
    assert command("audit", "verify").exit_code == 0


def test_heads_in_the_log_show_what_a_restored_database_lacks(command: Command, served: Store, tmp_path: Path) -> None:
    add(served, "inbox/1")
    command("db", "backup", tmp_path / "copy.db")
    add(served, "inbox/2")
    log = tmp_path / "serve.log"
    lines = [{"message": "audit heads", "heads": served.write_heads(NOW)}, {"message": 'not "audit heads"'}]
    log.write_text("no JSON\n" + "".join(f"pod-1 {json.dumps(line)}\n" for line in lines))
    served.close()
    assert command("audit", "verify", "--head", log).exit_code == 0
    command("db", "restore", tmp_path / "copy.db")
    verified = command("audit", "verify", "--head", log)
    assert verified.exit_code == 1
    assert "chain chain-a entry 3: entry 3 is missing: the heads file names entry 3" in verified.err


def test_the_copy_that_an_upgrade_makes_is_restored_too(
    command: Command, served: Store, database: Path, tmp_path: Path
) -> None:
    add(served, "inbox/1")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(tmp_path / "before")) as into:
        source.backup(into)  # as `db upgrade` does it: the copy says that it has a log, and has none
    served.close()
    database.unlink()
    restored = command("db", "restore", tmp_path / "before")
    assert (restored.exit_code, restored.err) == (0, "")
    assert subjects(database) == ["inbox/1"]
    assert command("audit", "verify").exit_code == 0


def test_a_copy_is_never_overwritten(command: Command, served: Store, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("older")
    refused = command("db", "backup", tmp_path / "copy.db")
    assert refused.exit_code == 2
    assert "is there already" in refused.err
    assert (tmp_path / "copy.db").read_text() == "older"
    served.close()


def test_nothing_is_restored_under_a_running_service(
    command: Command, served: Store, database: Path, tmp_path: Path
) -> None:
    command("db", "backup", tmp_path / "copy.db")
    with hold_lock(database):
        refused = command("db", "restore", tmp_path / "copy.db")
    assert refused.exit_code == 1
    assert "in use by process" in refused.err
    assert list(database.parent.glob("*.replaced-*")) == []
    served.close()


def test_a_damaged_copy_and_a_database_in_use_are_not_restored(
    command: Command, served: Store, database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    add(served, "inbox/1")
    command("db", "backup", copy)
    content = bytearray(copy.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    copy.write_bytes(content)
    damaged = command("db", "restore", copy)
    assert (damaged.exit_code, "no sound copy" in damaged.err) == (2, True)
    other = command("db", "restore", database)
    assert (other.exit_code, "no copy" in other.err) == (2, True)
    (tmp_path / "text.db").write_text("not a database at all")
    assert command("db", "restore", tmp_path / "text.db").exit_code == 2
    assert subjects(database) == ["inbox/1"]
    served.close()


def test_a_copy_where_there_is_no_database_is_refused(command: Command, database: Path, tmp_path: Path) -> None:
    refused = command("db", "backup", tmp_path / "copy.db")
    assert refused.exit_code == 1
    assert str(database) in refused.err
    assert not (tmp_path / "copy.db").exists()


def test_postgresql_has_tools_of_its_own(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_DATABASE_URL", "postgresql+psycopg2://ecg:secret@db.example/ecg")
    refused = command("db", "backup", tmp_path / "copy.db")
    assert refused.exit_code == 1
    assert "deploy/backup" in refused.err
    assert "secret" not in refused.err
