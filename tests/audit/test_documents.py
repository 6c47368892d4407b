from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from audit.criteria import Criterion, IndexRow, Search
from audit.store import Store, open_store
from inference.errors import Duplicate, Gone, NotFound
from tests.audit.values import document


def test_a_document_reads_back_byte_for_byte(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("r-1"), [])
    with store.reader() as reader:
        assert reader.documents.read("DiagnosticReport", "r-1") == document("r-1")
        assert reader.documents.read("DiagnosticReport", "r-1", 1) == document("r-1")


def test_an_absent_document_or_version_is_not_found_and_a_deleted_one_is_gone(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("r-1"), [])
        uow.documents.create(document("r-2", deleted=True), [])
        for kind, name, version in (
            ("DiagnosticReport", "r-9", None),
            ("DiagnosticReport", "r-1", 2),
            ("Observation", "r-1", None),
            ("DiagnosticReport", "r-1\0", None),
        ):
            with pytest.raises(NotFound):
                uow.documents.read(kind, name, version)
        with pytest.raises(Gone):
            uow.documents.read("DiagnosticReport", "r-2")


def test_an_id_is_created_once_and_the_transaction_goes_on(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("r-1"), [])
        with pytest.raises(Duplicate):
            uow.documents.create(document("r-1", content=b"other"), [])
        assert uow.documents.read("DiagnosticReport", "r-1") == document("r-1")


def test_several_documents_are_created_at_once_or_the_unit_of_work_is_given_up(store: Store) -> None:
    index = [IndexRow(name="subject", value="Patient/1")]
    with store.unit_of_work() as uow:
        uow.documents.create_all([(document("r-1"), index), (document("r-2"), []), (document("r-3"), index)])
        uow.documents.create_all([])
    with pytest.raises(Duplicate), store.unit_of_work() as uow:
        uow.documents.create_all([(document("r-4"), index), (document("r-2"), index)])
    about = Criterion(name="subject", alternatives=((None, "Patient/1"),))
    with store.reader() as reader:
        found = reader.documents.search(Search(type="DiagnosticReport", criteria=(about,)))
        assert [each.id for each in found.documents] == ["r-3", "r-1"]
        assert reader.documents.search(Search(type="DiagnosticReport")).total == 3


def test_a_claimed_key_names_its_holder(store: Store) -> None:
    with store.unit_of_work() as uow:
        assert uow.documents.claim("identifier", "sys|1", "Observation/o-1", "d1") is None
        assert uow.documents.claim("identifier", "sys|1", "Observation/o-2", "d2") == ("Observation/o-1", "d1")
        assert uow.documents.claim("other", "sys|1", "Observation/o-2", "d2") is None
    with store.reader() as reader:
        assert reader.documents.owner("identifier", "sys|1") == "Observation/o-1"
        assert reader.documents.owner("identifier", "sys|2") is None


def test_of_eight_threads_that_claim_one_key_exactly_one_gets_it(migrated_url: str) -> None:
    stores = [open_store(migrated_url, chain_id=f"chain-{n}") for n in range(8)]
    start = Barrier(8)

    def claim(n: int) -> list[tuple[str, str] | None]:
        held = []
        for key in range(5):
            start.wait(timeout=30)
            with stores[n].unit_of_work() as uow:
                held.append(uow.documents.claim("identifier", str(key), f"Observation/{n}", "d"))
        return held

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(claim, range(8)))
    for store in stores:
        store.close()
    for of_key in zip(*answers, strict=True):
        assert of_key.count(None) == 1
        winner = (f"Observation/{of_key.index(None)}", "d")
        assert {answer for answer in of_key if answer} == {winner}
