import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.criteria import IndexRow, RangeRow
from audit.times import FIRST, LAST, microseconds
from interop.resources.index import CONTACTS, MAX_STRING, folded, index_rows
from interop.resources.search_parameters import SEARCH_PARAMETERS
from interop.resources.times import moment, span
from tests.interop.resources.cases import ecg_observation

Text = tuple[str, str, str | None]


def texts(resource: dict[str, Any], *names: str) -> set[Text]:
    rows = [row for row in index_rows(resource) if isinstance(row, IndexRow)]
    return {(row.name, row.value, row.system) for row in rows if not names or row.name in names}


def ranges(resource: dict[str, Any], name: str) -> list[tuple[float, float, str | None, str | None]]:
    rows = [row for row in index_rows(resource) if isinstance(row, RangeRow)]
    return [(row.low, row.high, row.code, row.system) for row in rows if row.name == name]


def observation(**content: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", **content}


def patient(**content: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **content}


def test_an_ecg_is_found_by_all_its_parameters() -> None:
    ecg = ecg_observation(id="o")
    assert texts(ecg) >= {
        ("identifier", "ECG-1", "urn:oid:1.2.3"),
        ("subject", "Patient/1", None),
        ("code", "11524-6", "http://loinc.org"),
        ("status", "final", None),
    }
    ((low, high, _, _),) = ranges(ecg, "date")
    assert low == microseconds(moment(ecg["effectiveDateTime"]).at)
    assert high == low + 1000


def test_parameters_that_look_at_the_same_elements_share_their_rows() -> None:
    rows = index_rows(observation(subject={"reference": "Patient/1"}))
    assert rows == (IndexRow(name="subject", value="Patient/1"),)


def test_no_row_comes_twice() -> None:
    coding = {"system": "urn:s", "code": "c"}
    rows = index_rows(observation(category=[{"coding": [coding, coding]}, {"coding": [coding]}]))
    assert rows == (IndexRow(name="category", value="c", system="urn:s"),)


# Tokens


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ({"identifier": [{"system": "urn:h", "value": "1"}, {"value": "2"}]}, {("1", "urn:h"), ("2", None)}),
        ({"identifier": [{"system": "urn:h"}]}, set()),
        ({"active": False}, {("false", None)}),
        ({"active": True}, {("true", None)}),
        ({"gender": "male"}, {("male", None)}),
        ({"telecom": [{"system": "phone", "value": "0123", "use": "home"}]}, {("0123", None)}),
        ({"telecom": [{"value": "0123"}]}, {("0123", None)}),
        (
            {"telecom": [{"system": "email", "value": "a@b"}, {"system": "phone", "value": "1"}]},
            {("a@b", None), ("1", None)},
        ),
    ],
)
def test_tokens_have_the_system_that_a_search_would_name(
    content: dict[str, Any], rows: set[tuple[str, str | None]]
) -> None:
    (name,) = content
    assert texts(patient(**content), name) == {(name, value, system) for value, system in rows}


def test_phone_and_email_are_the_contacts_of_their_system() -> None:
    telecom = [{"system": "phone", "value": "0123"}, {"system": "email", "value": "a@b"}, {"value": "7"}]
    assert texts(patient(telecom=telecom), "phone", "email") == {("phone", "0123", None), ("email", "a@b", None)}


def test_all_codings_of_a_concept_are_found_and_its_text_is_not() -> None:
    code = {"coding": [{"system": "urn:s", "code": "1"}, {"code": "2"}, {"display": "three"}], "text": "four"}
    assert texts(observation(code=code)) == {("code", "1", "urn:s"), ("code", "2", None)}
    assert texts(observation(code={"text": "four"})) == set()


def test_tags_are_found_in_every_type() -> None:
    tagged = observation(meta={"tag": [{"system": "urn:s", "code": "silent"}, {"display": "no code"}]})
    assert texts(tagged) == {("_tag", "silent", "urn:s")}


# References


@pytest.mark.parametrize(
    ("subject", "rows"),
    [
        ({"reference": "Patient/1"}, {("subject", "Patient/1", None)}),
        ({"reference": "Patient/1/_history/4"}, {("subject", "Patient/1", None)}),
        ({"reference": "https://x/fhir/Patient/1"}, {("subject", "https://x/fhir/Patient/1", None)}),
        ({"identifier": {"system": "urn:h", "value": "77"}}, {("subject:identifier", "77", "urn:h")}),
        (
            {"reference": "Patient/1", "identifier": {"value": "77"}},
            {("subject", "Patient/1", None), ("subject:identifier", "77", None)},
        ),
        ({"reference": "#p"}, set()),
        ({"display": "somebody"}, set()),
    ],
)
def test_a_reference_is_found_by_its_target_and_by_its_identifier(subject: dict[str, Any], rows: set[Text]) -> None:
    assert texts(observation(subject=subject)) == rows


# Strings


def test_each_part_of_a_name_is_found_but_no_code_time_or_id() -> None:
    name = {
        "id": "i", "use": "official", "family": "M\u00fcller", "given": [None, "Anna Maria"], "prefix": ["Dr."],
        "text": "Dr. M\u00fcller", "period": {"start": "2000"}, "extension": [{"url": "urn:x", "valueString": "e"}],
        "_given": [{"extension": [{"url": "urn:x", "valueString": "e"}]}, None],
    }  # fmt: skip
    assert texts(patient(name=[name])) == {
        ("name", "muller", "M\u00fcller"),
        ("name", "anna maria", "Anna Maria"),
        ("name", "dr.", "Dr."),
        ("name", "dr. muller", "Dr. M\u00fcller"),
        ("family", "muller", "M\u00fcller"),
        ("given", "anna maria", "Anna Maria"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("M\u00dcLLER", "muller"),
        ("Mu\u0308ller", "muller"),
        ("Stra\u00dfe", "strasse"),
        ("  van \t der\nBerg ", "van der berg"),
        ("\u00c5\u0301ngstr\u00f6m", "angstrom"),
        ("\ufb01ne", "fine"),
        ("\u0395\u03bb\u03bb\u03ac\u03c2", "\u03b5\u03bb\u03bb\u03b1\u03c3"),
        ("x" * 500, "x" * MAX_STRING),
    ],
)
def test_texts_are_compared_without_case_accents_and_repeated_spaces(text: str, expected: str) -> None:
    assert folded(text) == expected


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Nd", "Zs"])), st.text(max_size=5))
def test_folding_ignores_case_and_ends(text: str, more: str) -> None:
    assert folded(f"  {text} ") == folded(text)
    assert folded(text + "e\u0301" + more).startswith(folded(text + "e"))
    assert len(folded(text * 20)) <= MAX_STRING


# Dates


@pytest.mark.parametrize(
    "text", ["2026", "2026-02", "2026-03-02", "2026-03-02T10:20:00+01:00", "2026-03-02T10:20:00.5Z"]
)
def test_a_date_covers_what_it_says(text: str) -> None:
    low, high = map(microseconds, span(text))
    assert ranges(observation(effectiveDateTime=text), "date") == [(low, high, None, None)]


@pytest.mark.parametrize(
    ("period", "low", "high"),
    [
        ({"start": "2026-03-02", "end": "2026-04"}, span("2026-03-02")[0], span("2026-04")[1]),
        ({"start": "2026-03-02"}, span("2026-03-02")[0], LAST),
        ({"end": "2026-04"}, FIRST, span("2026-04")[1]),
    ],
)
def test_a_period_covers_all_from_its_start_to_its_end(period: dict[str, str], low: Any, high: Any) -> None:
    rows = ranges(observation(effectivePeriod=period), "date")
    assert rows == [(microseconds(low), microseconds(high), None, None)]


@pytest.mark.parametrize("content", [{"effectivePeriod": {}}, {"effectiveTiming": {"code": {"text": "BID"}}}])
def test_what_has_no_time_has_no_row(content: dict[str, Any]) -> None:
    assert ranges(observation(**content), "date") == []


# Quantities


@pytest.mark.parametrize(
    ("quantity", "rows"),
    [
        ({"value": 5.35}, [(5.35, 5.35, None, None)]),
        ({"value": 5, "unit": "ms"}, [(5.0, 5.0, "ms", None)]),
        ({"value": 5, "unit": "ms", "code": "ms", "system": "urn:u"}, [(5.0, 5.0, "ms", "urn:u")]),
        (
            {"value": 5, "unit": "millisecond", "code": "ms", "system": "urn:u"},
            [(5.0, 5.0, "ms", "urn:u"), (5.0, 5.0, "millisecond", None)],
        ),
        ({"unit": "ms"}, []),
    ],
)
def test_a_quantity_is_found_by_its_unit_as_coded_and_as_shown(quantity: dict[str, Any], rows: list[Any]) -> None:
    assert ranges(observation(valueQuantity=quantity), "value-quantity") == rows


@pytest.mark.parametrize("comparator", ["<", "<=", ">", ">="])
def test_a_bounded_quantity_covers_all_beyond(comparator: str) -> None:
    ((low, high, _, _),) = ranges(observation(valueQuantity={"value": 5, "comparator": comparator}), "value-quantity")
    assert (low, high)[comparator[0] == "<"] == 5
    endless = (low, high)[comparator[0] == ">"]
    assert math.isfinite(endless)
    assert abs(endless) >= 1e308


def test_sampled_data_has_no_single_value() -> None:
    assert (
        ranges(observation(valueSampledData={"origin": {"value": 0}, "period": 2, "dimensions": 1}), "value-quantity")
        == []
    )


@pytest.mark.parametrize("kind", sorted(SEARCH_PARAMETERS))
def test_a_resource_of_any_type_without_content_has_no_rows(kind: str) -> None:
    assert index_rows({"resourceType": kind}) == ()


def test_contacts_are_the_codes_of_the_value_set() -> None:
    assert set(CONTACTS) == {"phone", "fax", "email", "pager", "url", "sms", "other"}
