from collections.abc import Iterable, Sequence

import pytest

from audit import included
from audit.criteria import Include, IndexRow, Search
from audit.packed import Plain
from audit.records import Document
from audit.store import Store
from inference.errors import SearchInvalid
from tests.audit.values import at

SUBJECT = Include(type="Observation", name="subject")


def put(
    store: Store,
    type: str,
    id: str,
    references: Iterable[tuple[str, str]] = (),
    *,
    silent: bool = False,
    version: int = 1,
) -> None:
    document = Document(type=type, id=id, version=version, body=Plain(b"{}"), last_updated=at(0))
    rows = [IndexRow(name=name, value=value) for name, value in references]
    with store.unit_of_work() as uow:
        if version > 1:
            uow.documents.replace(document, rows)
        else:
            uow.documents.create(document, rows, silent=silent)


@pytest.fixture
def stocked(store: Store) -> Store:
    """Observations of patients p and q, with other references; what refers to them in turn."""
    for patient in "pqr":
        put(store, "Patient", patient)
    put(store, "Patient", "hidden", silent=True)
    put(store, "Device", "d")
    put(
        store, "Observation", "a", [("subject", "Patient/p"), ("device", "Device/d"), ("derived-from", "Observation/b")]
    )
    put(store, "Observation", "b", [("subject", "Patient/p"), ("subject", "Device/d")])
    put(
        store,
        "Observation",
        "c",
        [("subject", "Patient/q"), ("subject", "https://x/Patient/p"), ("subject", "urn:uuid:1")],
    )
    put(
        store,
        "Observation",
        "e",
        [("subject", "Patient/hidden"), ("subject", "Patient/absent"), ("subject", "Patient/")],
    )
    put(store, "Observation", "loud", [("subject", "Patient/r")], silent=True)
    put(store, "Provenance", "x", [("target", "Observation/a"), ("target", "Observation/b")])
    return store


def given(
    store: Store, *includes: Include, type: str = "Observation", silent: bool = False, count: int = 50
) -> list[str]:
    search = Search(type=type, includes=includes, include_silent=silent, count=count)
    with store.reader() as reader:
        return [f"{one.type}/{one.id}" for one in reader.documents.search(search).included]


@pytest.mark.parametrize(
    ("includes", "expected"),
    [
        ([SUBJECT], ["Device/d", "Patient/p", "Patient/q"]),
        ([Include(type="Observation", name="subject", target="Patient")], ["Patient/p", "Patient/q"]),
        ([Include(type="Observation", name="subject", target="Group")], []),
        ([SUBJECT, Include(type="Observation", name="device")], ["Device/d", "Patient/p", "Patient/q"]),
        ([Include(type="Observation", name="derived-from")], []),
        ([Include(type="DiagnosticReport", name="subject")], []),
        ([Include(type="Provenance", name="target", reverse=True)], ["Provenance/x"]),
        ([Include(type="Observation", name="derived-from", reverse=True)], []),
        ([], []),
    ],
)
def test_what_matches_refer_to_is_included_once_unless_it_is_a_match(
    stocked: Store, includes: Sequence[Include], expected: list[str]
) -> None:
    assert sorted(given(stocked, *includes)) == expected


def test_silent_resources_are_included_only_when_they_are_asked_for(stocked: Store) -> None:
    assert "Patient/hidden" not in given(stocked, SUBJECT)
    assert {"Patient/hidden", "Patient/r"} <= set(given(stocked, SUBJECT, silent=True))
    reverse = Include(type="Observation", name="subject", reverse=True)
    assert "Observation/loud" not in given(stocked, reverse, type="Patient")


def test_only_what_the_matches_of_this_page_refer_to_is_included(stocked: Store) -> None:
    assert given(stocked, SUBJECT, count=1) == []  # e, whose patients are hidden or absent
    assert given(stocked, SUBJECT, count=2) == ["Patient/q"]
    assert given(stocked, SUBJECT, count=0) == []


def test_the_current_version_is_included_and_no_deleted_one(stocked: Store) -> None:
    put(stocked, "Patient", "p", version=2)
    with stocked.unit_of_work() as uow:
        gone = Document(type="Patient", id="q", version=2, body=Plain(b""), last_updated=at(1), deleted=True)
        uow.documents.replace(gone, ())
    with stocked.reader() as reader:
        found = reader.documents.search(Search(type="Observation", includes=(SUBJECT,))).included
    assert sorted((one.id, one.version) for one in found) == [("d", 1), ("p", 2)]


@pytest.mark.parametrize(
    ("type", "include"),
    [("Observation", SUBJECT), ("Patient", Include(type="Observation", name="subject", reverse=True))],
)
def test_a_page_that_would_include_too_much_is_refused(
    stocked: Store, monkeypatch: pytest.MonkeyPatch, type: str, include: Include
) -> None:
    whole = given(stocked, include, type=type)
    assert len(whole) >= 3
    monkeypatch.setattr(included, "MAX_INCLUDED", len(whole) - 1)
    with pytest.raises(SearchInvalid, match="_count"):
        given(stocked, include, type=type)
