import pytest

from audit import reindex
from audit.criteria import Criterion, IndexRow, Row, Search
from audit.records import Document
from audit.store import Store
from tests.audit.values import document


def found(store: Store, name: str) -> list[str]:
    criterion = Criterion(name=name, alternatives=((None, "x"),))
    with store.reader() as reader:
        return [
            one.id for one in reader.documents.search(Search(type="DiagnosticReport", criteria=(criterion,))).documents
        ]


def rows(document: Document) -> list[Row]:
    return [IndexRow(name="new", value="x")]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_every_current_document_gets_its_rows_anew(store: Store, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "BATCH", batch)
    old = [IndexRow(name="old", value="x")]
    with store.unit_of_work() as uow:
        for name in ("a", "b", "c"):
            uow.documents.create(document(name), old)
    assert not store.is_indexed_by("1")
    store.index_anew("1", rows)
    assert (found(store, "old"), found(store, "new")) == ([], ["c", "b", "a"])
    assert store.is_indexed_by("1")
    assert not store.is_indexed_by("2")
    store.index_anew("2", rows)
    assert store.is_indexed_by("2")


def test_an_interrupted_run_is_done_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "BATCH", 1)
    with store.unit_of_work() as uow:
        for name in ("a", "b"):
            uow.documents.create(document(name), [IndexRow(name="old", value="x")])

    def failing(document: Document) -> list[Row]:
        if document.id == "b":
            raise RuntimeError("power cut")
        return rows(document)

    with pytest.raises(RuntimeError):
        store.index_anew("1", failing)
    assert not store.is_indexed_by("1")
    assert (found(store, "old"), found(store, "new")) == (["b"], ["a"])
    store.index_anew("1", rows)
    assert (found(store, "old"), found(store, "new")) == ([], ["b", "a"])
