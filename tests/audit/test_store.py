import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from audit.criteria import IndexRow, Search
from audit.engine import connect, sqlite_file
from audit.records import AcknowledgementState, ProcessingState, Reader, UnitOfWork
from audit.store import Store, open_store
from audit.upgrade import upgrade
from inference.errors import ConfigurationError, Duplicate, InternalError, StorageUnavailable
from tests.audit.conftest import run_statements
from tests.audit.values import NOW, analysis, document, entry, features, message, received

TABLES = (
    "inbox", "documents", "document_index", "claims", "analyses", "outbox", "feature_cache", "audit_entries",
    "audit_heads",
)  # fmt: skip


def store_everything(uow: UnitOfWork) -> str:
    item = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
    uow.documents.create(document("r-1"), [IndexRow(name="subject", value="Patient/1")])
    uow.documents.claim("identifier", "1", "Observation/1", "d")
    uow.analyses.add(analysis("a-1", item))
    uow.outbox.add(message("R1"))
    uow.features.add(features(1), NOW)
    uow.trail.append(entry())
    return "stored"


def creating(name: str) -> Callable[[UnitOfWork], str]:
    def job(uow: UnitOfWork) -> str:
        uow.trail.append(entry(name))
        uow.documents.create(document(name), [IndexRow(name="subject", value="Patient/1")])
        return name

    return job


def failing(uow: UnitOfWork) -> str:
    store_everything(uow)
    raise KeyError("a defect in a job")


def rows(url: str) -> dict[str, int]:
    engines = connect(url)
    with engines.reader.connect() as connection:
        counts = {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES}
    engines.dispose()
    return counts


def test_a_unit_of_work_stores_all_or_nothing(store: Store, migrated_url: str) -> None:
    with pytest.raises(KeyError), store.unit_of_work() as uow:
        failing(uow)
    assert set(rows(migrated_url).values()) == {0}
    with store.unit_of_work() as uow:
        store_everything(uow)
    # The audit chain has its opening entry too.
    assert rows(migrated_url) == {**dict.fromkeys(TABLES, 1), "audit_entries": 2}
    assert store.verify().problems == ()


def test_in_a_batch_a_failing_job_undoes_only_itself(store: Store, migrated_url: str) -> None:
    outcomes = store.run_batch([failing, creating("r-1"), creating("r-1"), creating("r-2")])
    assert (outcomes[1], outcomes[3]) == ("r-1", "r-2")
    assert isinstance(outcomes[0], KeyError)
    assert isinstance(outcomes[2], Duplicate)
    counted = rows(migrated_url)
    assert (counted["documents"], counted["document_index"], counted["audit_entries"]) == (2, 2, 3)
    assert (counted["inbox"], counted["outbox"]) == (0, 0)
    assert store.verify().problems == ()


def test_a_broken_constraint_in_one_job_leaves_the_others_alone(store: Store) -> None:
    outcomes = store.run_batch([creating("r-1"), lambda uow: uow.analyses.add(analysis("a-1", 99)), creating("r-2")])
    assert (outcomes[0], outcomes[2]) == ("r-1", "r-2")
    assert isinstance(outcomes[1], InternalError)


def test_jobs_see_what_the_jobs_before_them_stored(store: Store) -> None:
    found = store.run_batch([creating("r-1"), lambda uow: uow.documents.read("DiagnosticReport", "r-1").id])
    assert found == ["r-1", "r-1"]


def test_an_empty_batch_is_fine(store: Store) -> None:
    assert store.run_batch([]) == []


def test_when_the_transaction_fails_every_job_hears_of_it_and_the_next_batch_works(
    store: Store, migrated_url: str
) -> None:
    assert store.run_batch([creating("r-0")]) == ["r-0"]

    def ends_the_transaction(uow: UnitOfWork) -> str:
        vars(uow.documents)["_connection"].exec_driver_sql("ROLLBACK")
        return "lost"

    outcomes = store.run_batch([creating("r-1"), ends_the_transaction, creating("r-2")])
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3
    assert store.run_batch([creating("r-1")]) == ["r-1"]
    assert rows(migrated_url)["documents"] == 2
    assert store.verify().problems == ()


def test_a_reader_sees_one_snapshot_and_cannot_write(store: Store) -> None:
    with store.reader() as reader:
        assert reader.documents.search(Search(type="DiagnosticReport")).total == 0
        store.run_batch([creating("r-1")])
        assert reader.documents.search(Search(type="DiagnosticReport")).total == 0
    writes: list[Callable[[Reader], object]] = [
        lambda reader: reader.documents.create(document("r-2"), []),
        lambda reader: reader.documents.claim("identifier", "1", "Observation/1", "d"),
        lambda reader: reader.outbox.add(message("R1")),
        lambda reader: reader.features.add(features(1), NOW),
    ]
    for write in writes:
        with pytest.raises(InternalError), store.reader() as reader:
            write(reader)


def test_an_error_text_holds_nothing_of_the_row(store: Store) -> None:
    secret = "MRN-4711"
    with pytest.raises(InternalError) as caught, store.unit_of_work() as uow:
        uow.analyses.add(analysis(secret, 99))
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_database_that_is_not_migrated_is_refused_naming_the_remedy(url: str) -> None:
    with pytest.raises(ConfigurationError, match="db upgrade"):
        open_store(url, chain_id="chain-a")


def test_the_check_notices_a_database_of_another_version(url: str) -> None:
    upgrade(url)
    store = open_store(url, chain_id="chain-a")
    store.check()
    later = "UPDATE alembic_version SET version_num = '9999'", "UPDATE compatibility SET oldest_schema = '9999'"
    run_statements(url, *later)
    with pytest.raises(ConfigurationError, match="9999"):
        store.check()
    store.close()


def test_a_server_that_does_not_answer_is_storage_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        open_store(f"postgresql://postgres@/ecg?host={tmp_path}", chain_id="chain-a")


def test_a_lost_postgresql_connection_fails_one_batch_and_is_replaced(emptied_postgresql: str) -> None:
    store = open_store(emptied_postgresql, chain_id="chain-a")
    assert store.run_batch([creating("r-1")]) == ["r-1"]

    def cut(uow: UnitOfWork) -> str:
        name = make_url(emptied_postgresql).database
        run_statements(
            emptied_postgresql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND pid <> pg_backend_pid()",
        )
        return creating("r-2")(uow)

    assert [type(outcome) for outcome in store.run_batch([cut, creating("r-3")])] == [StorageUnavailable] * 2
    assert store.run_batch([creating("r-2")]) == ["r-2"]
    assert store.verify().problems == ()
    store.close()


def test_a_full_disk_fails_the_batch_and_keeps_what_was_committed(tmp_path: Path) -> None:
    file = tmp_path / "ecg.sqlite"
    upgrade(f"sqlite:///{file}")
    store = open_store(f"sqlite:///{file}", chain_id="chain-a")
    assert store.run_batch([creating("r-1")]) == ["r-1"]

    def fills_the_disk(uow: UnitOfWork) -> str:
        connection = vars(uow.documents)["_connection"]
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite keeps it at the file's present size
        for n in range(100):
            creating(f"x-{n}")(uow)
        return "fitted"

    outcomes = store.run_batch([creating("r-2"), fills_the_disk])
    assert any(isinstance(outcome, StorageUnavailable) and "SQLITE_FULL" in str(outcome) for outcome in outcomes)
    assert store.verify().problems == ()
    store.close()


def test_commits_are_synced_and_a_checkpoint_empties_the_log(tmp_path: Path) -> None:
    file = tmp_path / "ecg.sqlite"
    upgrade(f"sqlite:///{file}")
    store = open_store(f"sqlite:///{file}", chain_id="chain-a")
    with store.unit_of_work() as uow:
        connection = vars(uow.documents)["_connection"]
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }
    store.run_batch([creating(f"r-{n}") for n in range(50)])
    found = store.checkpoint()
    assert found is not None
    assert found.log_bytes == found.moved_bytes > 0
    with closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as without_log:
        assert without_log.execute("SELECT count(*) FROM documents").fetchone() == (50,)
    store.close()


def test_postgresql_needs_no_checkpoint_of_ours(store: Store, migrated_url: str) -> None:
    assert (store.checkpoint() is None) == (sqlite_file(migrated_url) is None)


def test_heads_are_noted_for_the_log_and_exported(store: Store) -> None:
    assert store.write_heads(NOW) == {}
    store.run_batch([creating("r-1")])
    heads = store.write_heads(NOW)
    assert heads == store.export_heads() == store.verify(heads).heads
    assert heads["chain-a"][0] == 2
