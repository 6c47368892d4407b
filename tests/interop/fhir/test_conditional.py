from collections.abc import Iterator

import orjson
import pytest

from audit.criteria import Criterion, Total
from audit.packed import Plain
from audit.records import Document
from audit.times import microseconds
from inference.errors import Duplicate, MultipleMatches, SearchInvalid
from interop.fhir.conditional import condition, holder, matching, matching_alone, referring
from interop.record import IDENTIFIER_SCOPE
from interop.resources.identifiers import Identifier
from interop.resources.index import index_rows
from tests.fakes import NOW
from tests.interop.service import FileStore, file_store

BASE = "http://ecg.example/fhir"
OWN = (Identifier("1", "urn:a"), Identifier("2"))


def asked(query: str, type: str = "Observation") -> object:
    return condition(type, query, BASE, microseconds(NOW)).criteria


@pytest.fixture
def stock() -> Iterator[FileStore]:
    """Observation x holds urn:a|1 and |2, the silent y holds urn:b|1; z was deleted and held urn:c|1."""
    with file_store() as store:
        with store.store.unit_of_work() as uow:
            for name, identifiers in (
                ("x", OWN),
                ("y", (Identifier("1", "urn:b"),)),
                ("z", (Identifier("1", "urn:c"),)),
            ):
                subject = {"reference": "Patient/p"}
                own = [one.as_json() for one in identifiers]
                raw = {"resourceType": "Observation", "identifier": own, "subject": subject}
                document = Document(
                    type="Observation", id=name, version=1, body=Plain(orjson.dumps(raw)), last_updated=NOW
                )
                uow.documents.create(document, index_rows(raw), silent=name == "y")
                for identifier in identifiers:
                    uow.documents.claim(IDENTIFIER_SCOPE, identifier.key, f"Observation/{name}", "d")
            gone = Document(type="Observation", id="z", version=2, body=Plain(b""), last_updated=NOW, deleted=True)
            uow.documents.replace(gone, ())
        yield store


def met(stock: FileStore, query: str) -> str | None:
    search = condition("Observation", query, BASE, microseconds(NOW))
    found = stock.read(lambda reader: matching(reader.documents, search))
    return None if found is None else str(found.id)


@pytest.mark.parametrize(
    ("query", "alternative"),
    [
        ("identifier=urn:a|1", ("urn:a", "1")),
        ("?identifier=urn%3Aa%7C1", ("urn:a", "1")),
        (f"{BASE}/Observation?identifier=urn:a|1", ("urn:a", "1")),
        (" Observation?identifier=urn:a|1 ", ("urn:a", "1")),
        ("identifier=1", (None, "1")),
        ("identifier=|2", ("", "2")),
    ],
)
def test_a_condition_is_a_search_however_it_is_written(query: str, alternative: tuple[str | None, str]) -> None:
    assert asked(query) == (Criterion(name="identifier", alternatives=(alternative,)),)


def test_a_condition_finds_silent_resources_too_and_counts_no_further_than_two() -> None:
    search = condition("Observation", "identifier=1&_sort=date&_count=50&_total=accurate", BASE, microseconds(NOW))
    assert search.include_silent
    assert (search.count, search.total, search.includes) == (2, Total.NONE, ())


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "identifier=",
        "_count=1",
        "_sort=date",
        "colour=red",
        "identifier=1&colour=red",
        "identifier=|",
        "identifier",
    ],
)
def test_a_condition_that_is_not_wholly_understood_is_refused(query: str) -> None:
    with pytest.raises(SearchInvalid):
        asked(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("identifier=urn:a|1", "x"),
        ("identifier=urn:b|1", "y"),
        ("identifier=urn:c|1", None),
        ("identifier=|1", None),
        ("identifier=|2", "x"),
        ("identifier=1&identifier=2", "x"),
        ("identifier=urn:a|1&patient=p", "x"),
        ("identifier=urn:a|1&patient=q", None),
    ],
)
def test_the_one_resource_that_meets_a_condition_is_found(stock: FileStore, query: str, expected: str | None) -> None:
    assert met(stock, query) == expected


@pytest.mark.parametrize("query", ["identifier=1", "patient=p", "identifier=urn:a|1,urn:b|1"])
def test_several_that_meet_it_are_an_error(stock: FileStore, query: str) -> None:
    with pytest.raises(MultipleMatches, match="several Observation"):
        met(stock, query)


def test_who_changes_by_a_condition_sees_the_same(stock: FileStore) -> None:
    search = condition("Observation", "identifier=urn:a|1", BASE, microseconds(NOW))
    with stock.store.unit_of_work() as uow:
        found = matching_alone(uow.documents, search)
        assert found is not None
        assert found.id == "x"


def test_the_holder_of_all_identifiers_is_found_by_system_and_value(stock: FileStore) -> None:
    def held(*identifiers: Identifier) -> Document | None:
        found: Document | None = stock.read(lambda reader: holder(reader.documents, identifiers))
        return found

    found = held(*OWN)
    assert found is not None
    assert found.id == "x"
    assert held(Identifier("1")) is None
    assert held() is None
    deleted = held(Identifier("1", "urn:c"))
    assert deleted is not None
    assert deleted.deleted


@pytest.mark.parametrize("other", [Identifier("1", "urn:b"), Identifier("3")])
def test_identifiers_that_are_held_in_part_are_a_conflict(stock: FileStore, other: Identifier) -> None:
    with pytest.raises(Duplicate) as caught:
        stock.read(lambda reader: holder(reader.documents, (*OWN, other)))
    assert caught.value.element == "Observation.identifier"


@pytest.mark.parametrize(("patient", "expected"), [("Patient/p", ["x"]), ("Patient/q", []), ("Patient/", [])])
def test_what_refers_to_another_is_found_by_the_reference(stock: FileStore, patient: str, expected: list[str]) -> None:
    search = referring("Observation", "subject", patient)
    page = stock.read(lambda reader: reader.documents.search(search))
    assert [document.id for document in page.documents] == expected


def test_a_value_may_have_a_question_mark_and_must_be_there() -> None:
    (found,) = condition("Observation", "identifier=urn:a|1?2", BASE, microseconds(NOW)).criteria
    assert isinstance(found, Criterion)
    assert found.alternatives == (("urn:a", "1?2"),)
    with pytest.raises(SearchInvalid, match="status has no value"):
        condition("Observation", "identifier=1&status=", BASE, microseconds(NOW))
