"""Parameters as a search of the store; what their values mean is tested in test_values, what they find in
test_searching."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.criteria import (
    ID,
    LAST_UPDATED,
    NEWEST_FIRST,
    AnyCriterion,
    AnyOf,
    Criterion,
    Include,
    Linked,
    LinkedFrom,
    Order,
    Total,
    Within,
)
from audit.times import microseconds
from inference.errors import SearchInvalid
from interop.fhir.parameters import CURSOR, INTERACTIONS, parameters
from interop.fhir.search import DEFAULT_COUNT, MAX_COUNT, MAX_PARAMETERS, Query, described, of_the_answer, parse
from interop.resources.search_parameters import SEARCH_PARAMETERS

BASE = "http://ecg.example/fhir"
NOW = microseconds(datetime(2026, 3, 2, tzinfo=UTC))


def parsed(*pairs: tuple[str, str], type: str = "Observation", strict: bool = False, now: float = NOW) -> Query:
    return parse(type, pairs, BASE, now=now, strict=strict)


def criterion(name: str, value: str, type: str = "Observation") -> AnyCriterion:
    (found,) = parsed((name, value), type=type).search.criteria
    return found


def test_several_parameters_must_all_hold() -> None:
    found = parsed(("patient", "1"), ("status", "final"), ("patient", "3")).search.criteria
    assert [getattr(one, "name", None) for one in found] == ["subject", "status", "subject"]


# Chains (section 3.1.1.5.2)


def test_a_chain_asks_what_the_target_has() -> None:
    family = Criterion(name="family", alternatives=((None, "muller"),), starts=True)
    linked = Linked(name="subject", type="Patient", criteria=(family,))
    assert criterion("subject:Patient.family", "M\u00fcller") == linked
    assert criterion("patient.family", "M\u00fcller") == linked
    assert criterion("subject.family", "M\u00fcller") == linked  # of its targets only Patients have a family


def test_a_chain_to_several_types_asks_each() -> None:
    found = criterion("subject.identifier", "urn:h|1")
    assert isinstance(found, AnyOf)
    token = Criterion(name="identifier", alternatives=(("urn:h", "1"),))
    assert found.criteria == (
        Linked(name="subject", type="Device", criteria=(token,)),
        Linked(name="subject", type="Patient", criteria=(token,)),
        Criterion(name="subject:identifier", alternatives=(("urn:h", "1"),)),
    )


def test_a_patient_is_found_by_identifier_whether_it_is_stored_or_only_named() -> None:
    token = Criterion(name="identifier", alternatives=(("urn:h", "4711"),))
    assert criterion("patient.identifier", "urn:h|4711") == AnyOf(
        criteria=(
            Linked(name="subject", type="Patient", criteria=(token,)),
            Criterion(name="subject:identifier", alternatives=(("urn:h", "4711"),)),
        )
    )


def test_the_parameter_of_a_chain_has_modifiers_and_prefixes_of_its_own() -> None:
    found = criterion("patient.gender:not", "male")
    assert isinstance(found, Linked)
    assert found.criteria == (Criterion(name="gender", alternatives=((None, "male"),), negated=True),)
    found = criterion("patient.birthdate", "lt1960")
    assert isinstance(found, Linked)
    assert [type(one) for one in found.criteria] == [Within]


def test_a_reverse_chain_asks_who_refers_here() -> None:
    assert criterion("_has:Observation:patient:code", "8867-4", type="Patient") == LinkedFrom(
        name="subject", type="Observation", criteria=(Criterion(name="code", alternatives=((None, "8867-4"),)),)
    )


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("code.family", "code"),
        ("subject.nonsense", "subject"),
        ("subject.", "subject"),
        ("subject:Group.identifier", "subject"),
        ("patient:Device.type", "patient"),
        ("subject:Patient.organization.name", "subject"),
        ("subject._has:Observation:patient:code", "subject"),
        ("encounter.identifier", "encounter"),
        ("_has:Observation:patient", "_has"),
        ("_has:Observation:patient:nonsense", "_has"),
        ("_has:Observation:code:code", "_has"),
        ("_has:Nothing:patient:code", "_has"),
        ("_has:Observation:device:code", "_has"),
        ("_has:Observation:patient:subject.family", "_has"),
        ("_has:Observation:patient:_has:Provenance:target:recorded", "_has"),
    ],
)
def test_a_chain_that_cannot_be_followed_is_refused_by_name(name: str, element: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        parsed((name, "1"), type="Patient" if name.startswith("_has") else "Observation")
    assert caught.value.element == element


# Order, page and total (section 3.1.1.5)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("date", [Order(name="date", ranges=True)]),
        ("-date,status", [Order(name="date", descending=True, ranges=True), Order(name="status")]),
        ("-_lastUpdated", [Order(name=LAST_UPDATED, descending=True)]),
        ("_id", [Order(name=ID)]),
        ("patient", [Order(name="subject")]),
        (" -value-quantity , ", [Order(name="value-quantity", descending=True, ranges=True)]),
        (",", NEWEST_FIRST),
    ],
)
def test_results_are_sorted_by_any_parameter(text: str, order: list[Order]) -> None:
    assert parsed(("_sort", text)).search.order == tuple(order)


def test_without_an_order_the_newest_come_first() -> None:
    assert parsed().search.order == NEWEST_FIRST


@pytest.mark.parametrize(
    ("given_count", "count"),
    [
        ("7", 7),
        ("0", 0),
        ("00", 0),
        ("0000000000000012", 12),
        ("99999999999999", MAX_COUNT),
        ("9" * 5000, MAX_COUNT),
        (None, DEFAULT_COUNT),
    ],
)
def test_the_page_size_is_the_clients_up_to_a_limit(given_count: str | None, count: int) -> None:
    pairs = [] if given_count is None else [("_count", given_count)]
    assert parsed(*pairs).search.count == count


@pytest.mark.parametrize(
    ("pair", "total"),
    [
        (("_total", "none"), Total.NONE),
        (("_total", "estimate"), Total.CHEAP),
        (("_total", "accurate"), Total.ACCURATE),
        (("_summary", "count"), Total.ACCURATE),
        (("_summary", "true"), Total.CHEAP),
        (("_count", "0"), Total.ACCURATE),
        (("_count", "00"), Total.ACCURATE),
    ],
)
def test_the_total_is_counted_as_far_as_it_is_asked_for(pair: tuple[str, str], total: Total) -> None:
    assert parsed(pair).search.total is total


def test_a_count_alone_has_no_pages() -> None:
    for pair in (("_summary", "count"), ("_count", "0")):
        assert parsed(pair).counts_only
        assert parsed(pair).following("abc") is None
    assert not parsed().counts_only


def test_about_means_the_same_on_every_page() -> None:
    pairs = (("date", "ap2025"), ("_count", "1"))
    first = parsed(*pairs)
    place = first.following("abc")
    assert place is not None
    next_page = parsed(*pairs, (CURSOR, place), now=NOW + 3.6e9)
    assert next_page.search.after == "abc"
    assert next_page.search.criteria == first.search.criteria
    assert next_page.following("def") == place.replace("abc", "def")
    assert parsed(*pairs, now=NOW + 3.6e9).search.criteria != first.search.criteria


@pytest.mark.parametrize("place", ["abc", "12x.abc", ".", "9" * 400 + ".abc", "\u0661.abc"])
def test_a_place_that_no_link_had_is_left_to_the_store_to_refuse(place: str) -> None:
    assert parsed((CURSOR, place)).search.after == place


# Included resources (sections 3.1.1.5.4 and 3.1.1.5.5)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("_include", "Observation:subject", [Include(type="Observation", name="subject")]),
        ("_include", "Observation:subject:Device", [Include(type="Observation", name="subject", target="Device")]),
        ("_include", "Observation:patient", [Include(type="Observation", name="subject", target="Patient")]),
        ("_include", "Observation:device", [Include(type="Observation", name="device")]),
        ("_revinclude", "Provenance:target", [Include(type="Provenance", name="target", reverse=True)]),
    ],
)
def test_what_is_referred_to_is_included(name: str, text: str, expected: list[Include]) -> None:
    assert list(parsed((name, text)).search.includes) == expected


def test_a_wildcard_includes_all_references_of_the_type_once() -> None:
    found = parsed(("_include", "Provenance:*"), type="Provenance").search.includes
    assert found == tuple(Include(type="Provenance", name=name) for name in ("target", "agent", "entity"))


def test_patient_includes_patients_only_though_it_shares_rows_with_others() -> None:
    found = parsed(("_include", "Provenance:patient"), type="Provenance").search.includes
    assert found == (Include(type="Provenance", name="target", target="Patient"),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_include", "Observation"),
        ("_include", "Observation:code"),
        ("_include", "DiagnosticReport:result"),
        ("_include", "*"),
        ("_include:iterate", "Observation:subject"),
        ("_revinclude", "Nothing:subject"),
        ("_sort", "colour"),
        ("_sort", "date,colour"),
        ("_sort", "_tag"),
        ("_sort:asc", "date"),
        ("_text", "ecg"),
        ("colour", "red"),
        ("colour:not", "red"),
        ("family", "M"),
    ],
)
def test_what_is_not_known_is_told_and_is_an_error_only_when_strict(name: str, text: str) -> None:
    pairs = (("status", "final"), (name, text))
    query = parsed(*pairs)
    assert len(query.ignored) == 1
    assert query.ignored[0] in (name, f"{name}={text}", "_sort=colour")
    assert query.understood == pairs[:1]
    (told,) = described(query)
    assert query.ignored[0] in told
    with pytest.raises(SearchInvalid, match="cannot be searched by"):
        parsed(*pairs, strict=True)


def test_a_parameter_without_a_value_is_left_out() -> None:
    query = parsed(("patient", ""), ("colour", ""), strict=True)
    assert (query.search.criteria, query.understood) == ((), ())


def test_too_many_parameters_are_refused() -> None:
    pairs = [("status", "final")] * MAX_PARAMETERS
    assert len(parsed(*pairs).search.criteria) == MAX_PARAMETERS
    with pytest.raises(SearchInvalid, match="31 parameters"):
        parsed(*pairs, ("status", "final"))


@pytest.mark.parametrize(("name", "value"), [("_count", "many"), ("_count", "-1"), ("_total", "roughly")])
def test_values_of_general_parameters_that_cannot_be_used_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        parsed((name, value))
    assert caught.value.element == name


def test_silent_results_are_left_out_unless_their_tag_is_asked_for() -> None:
    assert not parsed(("subject", "Patient/1")).search.include_silent
    assert parsed(("_tag", "silent")).search.include_silent
    assert parsed(("_tag", "urn:ecg-interop:codesystem:tag|silent")).search.include_silent
    assert not parsed(("_tag", "other")).search.include_silent
    assert not parsed(("_tag:not", "silent")).search.include_silent
    assert not parsed(("code", "silent")).search.include_silent


def test_what_says_how_the_answer_is_written_is_no_criterion() -> None:
    pairs = [("_summary", "true"), ("_elements", "id"), ("_format", "json"), ("_pretty", "true"), ("status", "final")]
    assert of_the_answer(pairs) == dict(pairs[:4])
    assert len(parsed(*pairs, strict=True).search.criteria) == 1


NAMES = sorted({name for kind in INTERACTIONS for name in parameters(kind)})
MODIFIERS = [
    "",
    ":not",
    ":missing",
    ":exact",
    ":identifier",
    ":Patient",
    ".identifier",
    ":Patient.family",
    "._lastUpdated",
]
GENERAL = [
    "_sort",
    "_include",
    "_revinclude",
    "_count",
    "_total",
    "_cursor",
    "_summary",
    "_has:Observation:patient:code",
]


@given(
    st.sampled_from(sorted(INTERACTIONS)),
    st.lists(
        st.tuples(
            st.builds(str.__add__, st.sampled_from(NAMES), st.sampled_from(MODIFIERS)) | st.sampled_from(GENERAL),
            st.sampled_from(["true", "1", "2026-03-02", "Patient/1", "a|b", "gt5", "-date"]) | st.text(max_size=20),
        ),
        max_size=4,
    ),
)
def test_any_parameters_are_either_a_search_or_refused(type: str, pairs: list[tuple[str, str]]) -> None:
    try:
        query = parse(type, pairs, BASE, now=NOW)
    except SearchInvalid:
        return
    assert query.search.type == type
    assert 0 <= query.search.count <= MAX_COUNT
    assert len(query.understood) + len(query.ignored) <= len(pairs)


def test_every_parameter_of_every_type_can_be_sorted_by() -> None:
    for kind in SEARCH_PARAMETERS:
        for name, found in SEARCH_PARAMETERS[kind].items():
            (order,) = parsed(("_sort", name), type=kind, strict=True).search.order
            assert (order.name, order.ranges) == (found.row_name, found.kind.ranges)
