import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from audit import upgrade as upgrades
from audit.criteria import Criterion, IndexRow, Search
from audit.engine import connect_for_migration
from audit.packed import WithSeries, decompressed
from audit.records import AcknowledgementState, ProcessingState
from audit.revisions import migrate, migration_config
from audit.schema import REVISION, WORKS_WITH, metadata
from audit.store import open_store
from audit.upgrade import Upgrade, downgrade, upgrade
from inference.errors import ConfigurationError, InternalError, StorageUnavailable
from tests.audit.conftest import run_statements
from tests.audit.values import NOW, analysis, document, entry, features, message, received, shadow


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = connect_for_migration(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def downgrade_to_nothing(url: str) -> None:
    with connected(url) as connection:
        command.downgrade(migration_config(connection), "base")


def fill(url: str) -> None:
    """A row in every table, with the reference that there is between two of them."""
    store = open_store(url, chain_id="chain-a")
    with store.unit_of_work() as uow:
        item = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        uow.documents.create(document("r-1"), [IndexRow(name="subject", value="Patient/1")])
        uow.documents.claim("identifier", "1", "Observation/1", "d")
        uow.analyses.add(analysis("a-1", item))
        uow.outbox.add(message("R1"))
        uow.shadows.add(shadow("a-1"))
        uow.features.add(features(1), NOW)
        uow.trail.append(entry())
    store.close()


def test_the_migrations_make_exactly_the_schema(url: str) -> None:
    with connected(url) as connection:
        migrate(connection)
    with connected(url) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_empty_sqlite_file_becomes_what_the_migrations_make_of_it(tmp_path: Path) -> None:
    made, migrated = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("made", "migrated"))
    upgrade(made)
    with connected(migrated) as connection:
        migrate(connection)
    assert _definitions(made) == _definitions(migrated)
    with connected(made) as connection:
        assert MigrationContext.configure(connection).get_current_revision() == REVISION


def _definitions(url: str) -> list[tuple[str, ...]]:
    """Every table and index, with its columns and constraints in the words of SQLite."""
    with connected(url) as connection:
        found = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
        return [tuple(" ".join(str(value).split()) for value in row) for row in found]


def test_constraints_are_named_as_the_schema_names_them(url: str) -> None:
    upgrade(url)
    with connected(url) as connection:
        found = inspect(connection)
        for table in metadata.tables.values():
            assert found.get_pk_constraint(table.name)["name"] == f"pk_{table.name}"
        assert [key["name"] for key in found.get_foreign_keys("analyses")] == ["fk_analyses_inbox_id_inbox"]


def test_an_empty_database_is_upgraded_once(url: str) -> None:
    assert upgrade(url) == Upgrade(None, REVISION, None)
    assert upgrade(url) == Upgrade(REVISION, REVISION, None)
    open_store(url, chain_id="chain-a").close()


def test_down_to_nothing_and_up_again(url: str) -> None:
    upgrade(url)
    fill(url)
    downgrade_to_nothing(url)
    with connected(url) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    upgrade(url)
    with connected(url) as connection:
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    fill(url)


def test_the_feature_cache_comes_and_goes_with_its_migration_and_takes_nothing_else_along(url: str) -> None:
    upgrade(url)
    fill(url)
    downgrade(url, "0001")
    with connected(url) as connection:
        gone = set(metadata.tables) - set(inspect(connection).get_table_names())
        assert gone == {
            "feature_cache", "document_ranges", "search_index", "overreads", "cards", "card_findings", "card_feedback",
            "monitoring_reports", "alerts", "alert_notices", "shadow_results", "compatibility",
        }  # fmt: skip
        assert connection.execute(text("SELECT count(*) FROM analyses")).scalar_one() == 1
    with pytest.raises(ConfigurationError, match="at schema 0001, this version needs 0009"):
        open_store(url, chain_id="chain-b")
    done = upgrade(url)
    assert (done.before, done.after, done.copy is None) == ("0001", REVISION, url.startswith("postgresql"))
    store = open_store(url, chain_id="chain-b")
    assert store.known_features(features(1).key) is None
    with store.unit_of_work() as uow:
        uow.features.add(features(1), NOW)
    assert store.known_features(features(1).key) == features(1)
    assert store.verify().problems == ()
    store.close()


def test_samples_stored_as_numbers_are_text_for_an_older_program(url: str) -> None:
    upgrade(url)
    fill(url)
    samples = WithSeries(b'{"data":"\0"}', np.array([[5, -3, 70000]], np.int32))
    ecg = replace(document("r-2"), body=samples)
    store = open_store(url, chain_id="chain-b")
    with store.unit_of_work() as uow:
        uow.documents.create(ecg, ())
    store.close()
    assert {decompressed(frame) for frame in stored_frames(url)} == {document("r-1").content, b'{"data":"5 -3 70000"}'}
    downgrade(url, "0002")
    older = zstandard.ZstdDecompressor()
    assert {older.decompress(frame) for frame in stored_frames(url)} == {document("r-1").content, samples.content}
    upgrade(url)
    store = open_store(url, chain_id="chain-c")
    with store.reader() as reader:
        assert reader.documents.read("DiagnosticReport", "r-2").content == samples.content
    store.close()


def test_documents_are_found_by_what_they_were_found_by_before(url: str) -> None:
    upgrade(url)
    fill(url)
    downgrade(url, "0003")
    upgrade(url)
    store = open_store(url, chain_id="chain-b")
    about = Criterion(name="subject", alternatives=((None, "Patient/1"),))
    with store.reader() as reader:
        assert [
            found.id for found in reader.documents.search(Search(type="DiagnosticReport", criteria=(about,))).documents
        ] == ["r-1"]
    store.close()


def test_documents_are_in_the_order_of_code_points_whatever_the_language_of_the_database(
    migrated_postgresql: str,
) -> None:
    def collations() -> dict[str, str]:
        query = text(
            "SELECT attname, collname FROM pg_attribute JOIN pg_collation ON pg_collation.oid = attcollation "
            "WHERE attrelid = 'documents'::regclass AND attname IN ('type', 'id')"
        )
        with connected(migrated_postgresql) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    assert collations() == {"type": "C", "id": "C"}
    downgrade(migrated_postgresql, "0004")
    assert collations() == {"type": "default", "id": "default"}
    upgrade(migrated_postgresql)
    assert collations() == {"type": "C", "id": "C"}


def stored_frames(url: str) -> list[bytes]:
    with connected(url) as connection:
        return [bytes(row[0]) for row in connection.execute(text("SELECT content FROM documents"))]


def test_an_upgrade_of_a_database_in_use_leaves_what_is_in_it(url: str) -> None:
    upgrade(url)
    fill(url)
    assert upgrade(url).copy is None
    store = open_store(url, chain_id="chain-b")
    with store.reader() as reader:
        assert [row.received for row in reader.inbox.list(10)] == [received()]
        assert reader.documents.read("DiagnosticReport", "r-1").content == document("r-1").content
    assert store.verify().problems == ()
    store.close()


def migrated_by_a_later_version(url: str, works_with: str) -> None:
    upgrade(url)
    run_statements(
        url,
        "UPDATE alembic_version SET version_num = '9999'",
        f"UPDATE compatibility SET oldest_schema = '{works_with}'",
    )


def test_a_database_of_a_later_version_is_refused_unless_it_says_otherwise(url: str) -> None:
    migrated_by_a_later_version(url, works_with="9998")
    with pytest.raises(ConfigurationError, match=f"at schema 9999, on which this version \\({REVISION}\\) cannot work"):
        open_store(url, chain_id="chain-a")
    with pytest.raises(ConfigurationError, match="9999"):
        upgrade(url)


def test_a_later_version_that_says_so_leaves_the_database_to_this_one_as_well(url: str) -> None:
    migrated_by_a_later_version(url, works_with=REVISION)
    assert upgrade(url) == Upgrade("9999", "9999", None)
    fill(url)
    store = open_store(url, chain_id="chain-b")
    assert store.verify().problems == ()
    store.close()


def test_a_database_without_a_word_about_older_versions_is_refused(url: str) -> None:
    migrated_by_a_later_version(url, works_with=REVISION)
    run_statements(url, "DELETE FROM compatibility")
    with pytest.raises(ConfigurationError, match="9999"):
        open_store(url, chain_id="chain-a")


def test_every_migration_notes_with_which_versions_it_works(url: str) -> None:
    def noted() -> str:
        with connected(url) as connection:
            return str(connection.execute(text("SELECT oldest_schema FROM compatibility")).scalar_one())

    upgrade(url)
    assert noted() == WORKS_WITH
    downgrade(url, "0008")
    upgrade(url)
    assert noted() == WORKS_WITH


def test_a_version_works_on_the_newest_schema_if_it_is_said_to(url: str) -> None:
    """Nothing that a program of WORKS_WITH reads or writes is gone, and nothing new is required of it."""
    upgrade(url)
    newest = _columns(url)
    downgrade(url, WORKS_WITH)
    for table, columns in _columns(url).items():
        for name, column in columns.items():
            assert newest[table][name] == column, f"{table}.{name}"
        for name in set(newest[table]) - set(columns):
            assert newest[table][name].may_be_left_out, f"{table}.{name}"


@dataclass(frozen=True)
class _Column:
    type: str
    may_be_left_out: bool


def _columns(url: str) -> dict[str, dict[str, _Column]]:
    with connected(url) as connection:
        found = inspect(connection)
        return {
            table: {
                column["name"]: _Column(str(column["type"]), column["nullable"] or column["default"] is not None)
                for column in found.get_columns(table)
            }
            for table in found.get_table_names()
        }


def test_an_operator_goes_back_by_known_migrations_only(url: str) -> None:
    upgrade(url)
    for revision in ("0000", "9999", "base"):
        with pytest.raises(ConfigurationError, match=revision):
            downgrade(url, revision)
    assert downgrade(url, REVISION) == Upgrade(REVISION, REVISION, None)
    run_statements(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="at schema 9999, which this version does not know"):
        downgrade(url, "0008")


def test_going_back_keeps_a_copy_of_an_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ecg.sqlite'}"
    upgrade(url)
    fill(url)
    done = downgrade(url, "0007")
    assert done == Upgrade(REVISION, "0007", tmp_path / f"ecg.sqlite.before-migration-from-{REVISION}")
    assert done.copy is not None
    with closing(sqlite3.connect(done.copy)) as copy:
        assert copy.execute("SELECT count(*) FROM shadow_results").fetchone() == (1,)


def test_a_current_database_is_opened_without_loading_alembic(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom audit.upgrade import upgrade\n"
        "upgrade(sys.argv[1]); upgrade(sys.argv[1])\n"
        "sys.exit('alembic' in sys.modules)"
    )
    url = f"sqlite:///{tmp_path / 'ecg.sqlite'}"
    assert subprocess.run([sys.executable, "-c", script, url], check=False).returncode == 0


def test_a_migration_that_fails_changes_nothing(url: str) -> None:
    with connected(url) as connection:
        # In the way of the first migration, which has made some tables before it gets there.
        connection.exec_driver_sql("CREATE TABLE outbox (id INTEGER)")
    with pytest.raises(InternalError):
        upgrade(url)
    with connected(url) as connection:
        assert inspect(connection).get_table_names() == ["outbox"]


def test_an_existing_sqlite_file_is_copied_with_what_is_in_its_log(tmp_path: Path) -> None:
    file = tmp_path / "ecg.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE old (value TEXT)")
        connection.execute("INSERT INTO old VALUES ('kept')")
        connection.commit()
        done = upgrade(f"sqlite:///{file}")
    assert done.copy == tmp_path / "ecg.sqlite.before-migration-from-none"
    assert done.copy.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(done.copy)) as copy:
        assert copy.execute("SELECT value FROM old").fetchall() == [("kept",)]
        assert copy.execute("SELECT name FROM sqlite_master").fetchall() == [("old",)]


def test_no_migration_without_a_copy(tmp_path: Path) -> None:
    file = tmp_path / "ecg.sqlite"
    run_statements(f"sqlite:///{file}", "CREATE TABLE old (value TEXT)")
    (tmp_path / "ecg.sqlite.before-migration-from-none").mkdir()
    with pytest.raises(StorageUnavailable, match="could not be copied"):
        upgrade(f"sqlite:///{file}")
    with connected(f"sqlite:///{file}") as connection:
        assert inspect(connection).get_table_names() == ["old"]


def test_a_second_migration_waits_for_the_first_and_gives_up_in_time(
    postgresql: str, migrated_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades, "LOCK_TIMEOUT_SECONDS", 0.1)
    with connected(migrated_postgresql) as holder:
        holder.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": upgrades.MIGRATION_LOCK})
        with pytest.raises(StorageUnavailable, match="55P03"):
            upgrade(migrated_postgresql)
    assert upgrade(migrated_postgresql).before == REVISION
