import pytest

from audit.criteria import Criterion, IndexRow
from audit.packed import Plain
from audit.records import Document
from inference.errors import Duplicate, InvalidContent, MultipleMatches, SearchInvalid
from interop.fhir.conditional import condition, holder, matching
from interop.record import IDENTIFIER_SCOPE
from interop.resources.identifiers import Identifier
from tests.fakes import NOW
from tests.fakes_store import FakeDocuments

BASE = "http://ecg.example/fhir"
OWN = (Identifier("1", "urn:a"), Identifier("2"))


@pytest.fixture
def documents() -> FakeDocuments:
    """Observation x holds urn:a|1 and |2, Observation y holds urn:b|1."""
    store = FakeDocuments()
    for name, rows in (("x", (("urn:a", "1"), (None, "2"))), ("y", (("urn:b", "1"),))):
        document = Document(type="Observation", id=name, version=1, body=Plain(b"{}"), last_updated=NOW)
        store.create(document, [IndexRow(name="identifier", value=value, system=system) for system, value in rows])
        for system, value in rows:
            store.claim(IDENTIFIER_SCOPE, Identifier(value, system).key, f"Observation/{name}", "d")
    return store


@pytest.mark.parametrize(
    ("header", "alternative"),
    [
        ("identifier=urn:a|1", ("urn:a", "1")),
        ("?identifier=urn%3Aa%7C1", ("urn:a", "1")),
        ("identifier=1", (None, "1")),
        ("identifier=|2", ("", "2")),
    ],
)
def test_a_condition_is_one_identifier_of_the_ecg_itself(header: str, alternative: tuple[str | None, str]) -> None:
    assert condition(header, OWN, BASE) == Criterion(name="identifier", alternatives=(alternative,))


def test_without_the_header_there_is_no_condition() -> None:
    assert condition(None, OWN, BASE) is None


@pytest.mark.parametrize(
    "header", ["", "identifier=", "identifier=1,2", "identifier=1&identifier=2", "status=final", "x=1"]
)
def test_any_other_condition_is_refused(header: str) -> None:
    with pytest.raises(SearchInvalid):
        condition(header, OWN, BASE)


@pytest.mark.parametrize("header", ["identifier=urn:b|1", "identifier=|1", "identifier=3"])
def test_an_identifier_of_another_ecg_is_refused(header: str) -> None:
    with pytest.raises(InvalidContent, match="none of the Observation's own"):
        condition(header, OWN, BASE)


def test_one_match_is_given_back_and_several_are_an_error(documents: FakeDocuments) -> None:
    one = matching(documents, Criterion(name="identifier", alternatives=(("urn:a", "1"),)))
    assert one is not None
    assert one.id == "x"
    assert matching(documents, Criterion(name="identifier", alternatives=((None, "9"),))) is None
    with pytest.raises(MultipleMatches):
        matching(documents, Criterion(name="identifier", alternatives=((None, "1"),)))


def test_the_holder_of_all_identifiers_is_found_by_system_and_value(documents: FakeDocuments) -> None:
    found = holder(documents, OWN)
    assert found is not None
    assert found.id == "x"
    assert holder(documents, (Identifier("1"),)) is None
    assert holder(documents, ()) is None


@pytest.mark.parametrize("other", [Identifier("1", "urn:b"), Identifier("3")])
def test_identifiers_that_are_held_in_part_are_a_conflict(documents: FakeDocuments, other: Identifier) -> None:
    with pytest.raises(Duplicate):
        holder(documents, (*OWN, other))
