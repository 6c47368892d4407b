from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.criteria import Criterion, IndexRow, Search
from audit.cursor import Cursor
from audit.store import Store
from inference.errors import SearchInvalid
from tests.audit.values import document

Alternatives = Sequence[tuple[str | None, str]]


def add(store: Store, id: str, *index: IndexRow, seconds: float = 0, silent: bool = False) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document(id, seconds=seconds), index, silent=silent)


def search(**criteria: Alternatives) -> Search:
    return Search(
        type="DiagnosticReport", criteria=tuple(Criterion(name=n, alternatives=tuple(a)) for n, a in criteria.items())
    )


def ids(store: Store, asked: Search) -> list[str]:
    with store.reader() as reader:
        page = reader.documents.search(asked)
    assert page.total == len(page.documents)
    assert page.next is None
    return [found.id for found in page.documents]


@pytest.fixture
def stocked(store: Store) -> Store:
    subject = IndexRow(name="subject", value="Patient/1")
    add(store, "a", subject, IndexRow(name="identifier", value="7", system="urn:x"), seconds=1)
    add(store, "b", subject, subject, IndexRow(name="identifier", value="7"), seconds=2)
    add(store, "c", IndexRow(name="subject", value="Patient/2"), seconds=2)
    add(store, "hidden", subject, seconds=3, silent=True)
    with store.unit_of_work() as uow:
        uow.documents.create(document("deleted", deleted=True), [subject])
    return store


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, ["c", "b", "a"]),
        ({"subject": [(None, "Patient/1")]}, ["b", "a"]),
        ({"subject": [(None, "Patient/1"), (None, "Patient/2")]}, ["c", "b", "a"]),
        ({"identifier": [("urn:x", "7")]}, ["a"]),
        ({"identifier": [("", "7")]}, ["b"]),
        ({"identifier": [(None, "7")]}, ["b", "a"]),
        ({"identifier": [("urn:x", "7")], "subject": [(None, "Patient/2")]}, []),
        ({"identifier": [("urn:x", "7")], "subject": [(None, "Patient/1")]}, ["a"]),
        ({"subject": []}, []),
        ({"_id": [(None, "a"), (None, "c")]}, ["c", "a"]),
        ({"_id": [("", "a")]}, ["a"]),
        ({"_id": [("urn:x", "a")]}, []),
        ({"_id": [(None, "hidden"), (None, "deleted")]}, []),
        ({"_id": [(None, "a"), (None, "c")], "subject": [(None, "Patient/1")]}, ["a"]),
        ({"subject": [(None, "Patient/1")], "_id": [(None, "b\0")]}, []),
        ({"subject": [(None, "Patient/1\0")]}, []),
    ],
)
def test_criteria_are_and_alternatives_are_or_newest_first(
    stocked: Store, criteria: dict[str, Alternatives], expected: list[str]
) -> None:
    assert ids(stocked, search(**criteria)) == expected


def test_silent_documents_are_found_only_when_asked_for(stocked: Store) -> None:
    asked = search(subject=[(None, "Patient/1")])
    assert "hidden" not in ids(stocked, asked)
    loud = Search(type=asked.type, criteria=asked.criteria, include_silent=True)
    assert ids(stocked, loud) == ["hidden", "b", "a"]


def test_a_value_too_long_for_an_index_is_found(store: Store) -> None:
    long = "x" * 10_000
    add(store, "a", IndexRow(name="identifier", value=long, system=long))
    assert ids(store, search(identifier=[(long, long)])) == ["a"]
    assert ids(store, search(identifier=[(long, long + "x")])) == []


def test_pages_show_each_document_once_though_others_are_stored_meanwhile(store: Store) -> None:
    for n in range(7):
        add(store, f"r-{n}", seconds=n // 3)
    seen: list[str] = []
    after = None
    for extra in range(4):
        with store.reader() as reader:
            page = reader.documents.search(Search(type="DiagnosticReport", count=2, after=after))
        assert page.total == 7 + extra
        seen += [found.id for found in page.documents]
        after = page.next
        add(store, f"s-{extra}", seconds=100)
    assert after is None
    assert seen == ["r-6", "r-5", "r-4", "r-3", "r-2", "r-1", "r-0"]


def test_a_count_of_zero_gives_the_total_alone(stocked: Store) -> None:
    with stocked.reader() as reader:
        page = reader.documents.search(Search(type="DiagnosticReport", count=0))
    assert (page.documents, page.total, page.next) == ((), 3, None)


def test_documents_created_in_the_same_transaction_are_found(store: Store) -> None:
    with store.unit_of_work() as uow:
        uow.documents.create(document("a"), [IndexRow(name="subject", value="Patient/1")])
        assert uow.documents.search(search(subject=[(None, "Patient/1")])).total == 1


def test_a_cursor_of_another_search_is_refused(stocked: Store) -> None:
    with stocked.reader() as reader:
        first = reader.documents.search(Search(type="DiagnosticReport", count=1))
        with pytest.raises(SearchInvalid):
            reader.documents.search(Search(type="Observation", count=1, after=first.next))


@given(st.one_of(st.text(), st.text(alphabet="ABCabc012-_=")))
def test_a_cursor_that_we_did_not_give_is_refused(cursor: str) -> None:
    with pytest.raises(SearchInvalid):
        Cursor.read(cursor, Search(type="DiagnosticReport"))
