from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread

import pytest

from audit import reindex
from audit.criteria import Criterion, IndexDefinitions, IndexRow, Row, Search
from audit.records import Document
from audit.store import Store, open_store
from inference.errors import InternalError
from tests.audit.values import NOW, at, document, entry

OLD = [IndexRow(name="old", value="x")]
FIRST = IndexDefinitions(revision=1, digest="one")
SECOND = IndexDefinitions(revision=2, digest="two")
TYPES = ("DiagnosticReport", "Observation")


def found(store: Store, name: str) -> list[str]:
    criterion = Criterion(name=name, alternatives=((None, "x"),))
    with store.reader() as reader:
        return [
            one.id for one in reader.documents.search(Search(type="DiagnosticReport", criteria=(criterion,))).documents
        ]


def rows(document: Document) -> list[Row]:
    return [IndexRow(name="new", value="x")]


@contextmanager
def opened(url: str, definitions: IndexDefinitions, chain: str = "chain") -> Iterator[Store]:
    store = open_store(url, chain_id=f"{chain}-{definitions.digest}", definitions=definitions)
    yield store
    store.close()


def put(store: Store, name: str, at: datetime) -> None:
    """A document as a serving process stores it: with an entry in its audit chain, whose head is noted."""
    with store.unit_of_work() as uow:
        uow.documents.create(replace(document(name), last_updated=at), OLD)
        uow.trail.append(entry())
    store.write_heads(at)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_every_current_document_gets_its_rows_anew(
    migrated_url: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "BATCH", batch)
    with opened(migrated_url, FIRST) as store:
        with store.unit_of_work() as uow:
            for name in ("a", "b", "c"):
                uow.documents.create(document(name), OLD)
        assert not store.serves_index()
        store.index_anew(at(60), rows)
        assert (found(store, "old"), found(store, "new")) == ([], ["c", "b", "a"])
        assert store.serves_index()


def test_rows_of_a_later_version_serve_an_older_one_and_not_the_other_way_round(migrated_url: str) -> None:
    with opened(migrated_url, FIRST) as older, opened(migrated_url, SECOND) as newer:
        older.index_anew(NOW, rows)
        assert (older.serves_index(), newer.serves_index()) == (True, False)
        newer.index_anew(NOW, rows)
        assert (older.serves_index(), newer.serves_index()) == (True, True)
    with opened(migrated_url, IndexDefinitions(revision=2, digest="another")) as mistaken:
        assert not mistaken.serves_index()


def test_an_interrupted_run_is_done_again(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "BATCH", 1)

    def failing(document: Document) -> list[Row]:
        if document.id == "b":
            raise RuntimeError("power cut")
        return rows(document)

    with opened(migrated_url, FIRST) as store:
        with store.unit_of_work() as uow:
            for name in ("a", "b"):
                uow.documents.create(document(name), OLD)
        with pytest.raises(RuntimeError):
            store.index_anew(at(60), failing)
        assert not store.serves_index()
        assert (found(store, "old"), found(store, "new")) == (["b"], ["a"])
        store.index_anew(at(60), rows)
        assert (found(store, "old"), found(store, "new")) == ([], ["b", "a"])


def test_what_an_older_version_stores_beside_a_newer_one_gets_rows_of_the_newer_one(migrated_url: str) -> None:
    minutes = [NOW + timedelta(minutes=count) for count in range(10)]
    with opened(migrated_url, FIRST) as older, opened(migrated_url, SECOND) as newer:
        put(older, "before", minutes[0])
        newer.index_anew(minutes[1], rows)
        put(older, "beside", minutes[2])
        assert found(newer, "new") == ["before"]
        assert newer.index_missed(minutes[3], TYPES, rows)
        assert found(newer, "new") == ["beside", "before"]
        assert not older.index_missed(minutes[3], TYPES, rows)  # the rows are for the newer one to make
        # As long as the older one may have gone on since its last sign, and no longer.
        assert newer.index_missed(minutes[6], TYPES, rows)
        assert not newer.index_missed(minutes[7], TYPES, rows)
        put(older, "much later", minutes[9])
        assert newer.index_missed(minutes[9], TYPES, rows)
        assert found(newer, "old") == []


def test_a_process_that_stores_no_documents_is_nobody_to_wait_for(migrated_url: str) -> None:
    with opened(migrated_url, SECOND) as newer:
        newer.index_anew(NOW, rows)
        command = open_store(migrated_url, chain_id="command")
        with command.unit_of_work() as uow:
            uow.trail.append(entry())
        command.write_heads(NOW)
        assert not newer.index_missed(NOW, TYPES, rows)
        with pytest.raises(InternalError):
            command.index_missed(NOW, TYPES, rows)
        command.close()


def test_a_document_that_is_replaced_meanwhile_keeps_the_rows_of_its_newest_version(emptied_postgresql: str) -> None:
    """The one who replaces waits for the rows that are being made, and exchanges them after that."""
    with opened(emptied_postgresql, FIRST) as older, opened(emptied_postgresql, SECOND, "newer") as newer:
        put(older, "a", NOW)
        replaced = Thread(target=lambda: _replace(older, "a"))

        def slowly(document: Document) -> list[Row]:
            replaced.start()
            replaced.join(0.5)
            assert replaced.is_alive()
            return rows(document)

        newer.index_anew(NOW, slowly)
        replaced.join(5)
        assert (found(newer, "new"), found(newer, "replaced")) == ([], ["a"])


def _replace(store: Store, name: str) -> None:
    with store.unit_of_work() as uow:
        uow.documents.replace(replace(document(name), version=2), [IndexRow(name="replaced", value="x")])
