import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audit.log_file import LOG_BYTES, reserve
from audit.store import open_store
from audit.upgrade import upgrade
from tests.audit.values import document

SIZE = 3 * 1024 * 1024 + 5


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ecg.sqlite"


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None)) as opened:
        opened.execute("PRAGMA journal_mode = WAL").close()
        opened.execute("PRAGMA wal_autocheckpoint = 0").close()
        opened.execute("CREATE TABLE numbers (n INTEGER)").close()
        yield opened


def log_of(database: Path) -> Path:
    return Path(f"{database}-wal")


def as_after_a_crash(database: Path) -> list[int]:
    """What another process finds in the files as they are now."""
    copy = database.with_name("copy.sqlite")
    shutil.copy(database, copy)
    shutil.copy(log_of(database), log_of(copy))
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [n for (n,) in opened.execute("SELECT n FROM numbers ORDER BY n")]


def insert(connection: sqlite3.Connection, *numbers: int) -> None:
    connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in numbers]).close()


def test_what_was_written_before_and_after_is_there_and_the_log_keeps_its_length(
    database: Path, connection: sqlite3.Connection
) -> None:
    insert(connection, 1, 2)
    before = log_of(database).stat().st_size
    connection.execute("BEGIN IMMEDIATE").close()
    assert reserve(database, SIZE) == SIZE - before
    connection.execute("COMMIT").close()
    insert(connection, 3)
    assert log_of(database).stat().st_size == SIZE
    assert as_after_a_crash(database) == [1, 2, 3]


def test_a_checkpoint_leaves_the_length_and_writing_begins_at_the_start(
    database: Path, connection: sqlite3.Connection
) -> None:
    reserve(database, SIZE)
    insert(connection, *range(100))
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
    insert(connection, 100)
    assert log_of(database).stat().st_size == SIZE
    assert as_after_a_crash(database) == list(range(101))


def test_a_log_that_is_long_enough_is_left_alone(database: Path, connection: sqlite3.Connection) -> None:
    insert(connection, 1)
    content = log_of(database).read_bytes()
    assert reserve(database, 100) == 0
    assert log_of(database).read_bytes() == content


def test_where_there_is_no_room_nothing_happens(database: Path, connection: sqlite3.Connection) -> None:
    insert(connection, 1)
    content = log_of(database).read_bytes()
    assert reserve(database, shutil.disk_usage(database.parent).free) == 0
    assert log_of(database).read_bytes() == content


def test_a_store_with_a_reserved_log_stores_and_reads(database: Path) -> None:
    url = f"sqlite:///{database}"
    upgrade(url)
    store = open_store(url, chain_id="chain-a")
    store.reserve_log()
    with store.unit_of_work() as uow:
        uow.documents.create(document("a"), [])
    assert log_of(database).stat().st_size == LOG_BYTES
    with store.reader() as reader:
        assert reader.documents.read("DiagnosticReport", "a").content == document("a").content
    store.close()


def test_the_log_begins_anew_with_the_commit_that_follows_a_checkpoint(database: Path) -> None:
    url = f"sqlite:///{database}"
    upgrade(url)
    store = open_store(url, chain_id="chain-a")

    def logged_after(*ids: str) -> int:
        for each in ids:
            with store.unit_of_work() as uow:
                uow.documents.create(document(each), [])
        found = store.checkpoint()
        assert found is not None
        return found.log_bytes

    logged_after("a")
    alone = logged_after("b")
    assert logged_after("c", "d") > alone
    assert logged_after("e") == alone
    store.close()
