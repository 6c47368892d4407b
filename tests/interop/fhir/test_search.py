import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.criteria import Criterion
from audit.packed import Plain
from audit.records import Document, Page
from inference.errors import SearchInvalid
from interop.fhir.parameters import PARAMETERS
from interop.fhir.search import DEFAULT_COUNT, MAX_COUNT, bundle, parse
from tests.interop.valid import valid

BASE = "http://ecg.example/fhir"
TIME = datetime(2026, 3, 2, tzinfo=UTC)


def alternatives(name: str, value: str, type: str = "DiagnosticReport") -> tuple[tuple[str | None, str], ...]:
    (criterion,) = parse(type, [(name, value)], BASE).search.criteria
    return criterion.alternatives


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", [(None, "Patient/1")]),
        ("Patient/1", [(None, "Patient/1")]),
        (f"{BASE}/Patient/1", [(None, "Patient/1"), (None, f"{BASE}/Patient/1")]),
        ("https://other.example/Patient/1", [(None, "https://other.example/Patient/1")]),
        ("urn:uuid:5b0d", [(None, "urn:uuid:5b0d")]),
        ("1,Patient/2", [(None, "Patient/1"), (None, "Patient/2")]),
    ],
)
def test_every_form_of_a_reference_is_looked_up(value: str, expected: list[tuple[None, str]]) -> None:
    assert list(alternatives("subject", value)) == expected


def test_a_bare_id_of_a_result_means_an_observation() -> None:
    assert alternatives("result", "abc") == ((None, "Observation/abc"),)


def test_patient_looks_at_the_same_rows_as_subject() -> None:
    found = parse("ServiceRequest", [("patient", "1")], BASE).search.criteria
    assert found == (Criterion(name="subject", alternatives=((None, "Patient/1"),)),)


def test_the_type_modifier_completes_a_bare_id() -> None:
    assert alternatives("subject:Group", "7") == ((None, "Group/7"),)


def test_a_reference_without_target_is_found_by_its_identifier() -> None:
    (found,) = parse("DiagnosticReport", [("subject:identifier", "urn:h|4711")], BASE).search.criteria
    assert found == Criterion(name="subject:identifier", alternatives=(("urn:h", "4711"),))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("urn:h|4711", ("urn:h", "4711")),
        ("|4711", ("", "4711")),
        ("4711", (None, "4711")),
        (r"urn:h|a\,b", ("urn:h", "a,b")),
        (r"a\|b", (None, "a|b")),
    ],
)
def test_tokens_keep_system_no_system_and_any_system_apart(value: str, expected: tuple[str | None, str]) -> None:
    assert alternatives("identifier", value) == (expected,)


def test_several_parameters_must_all_hold() -> None:
    found = parse("DiagnosticReport", [("subject", "1"), ("identifier", "2"), ("subject", "3")], BASE).search.criteria
    assert [criterion.name for criterion in found] == ["subject", "identifier", "subject"]


@pytest.mark.parametrize(
    ("given_count", "count"), [("7", 7), ("0", 0), ("99999999999999", MAX_COUNT), (None, DEFAULT_COUNT)]
)
def test_the_page_size_is_the_clients_up_to_a_limit(given_count: str | None, count: int) -> None:
    pairs = [] if given_count is None else [("_count", given_count)]
    assert parse("Observation", pairs, BASE).search.count == count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_count", "many"),
        ("_count", "-1"),
        ("identifier", "urn:h|"),
        ("identifier:not", "1"),
        ("subject:missing", "true"),
        ("subject", ","),
    ],
)
def test_values_and_modifiers_that_cannot_be_used_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        parse("DiagnosticReport", [(name, value)], BASE)
    assert caught.value.element == name.partition(":")[0]


def test_silent_results_are_left_out_unless_their_tag_is_asked_for() -> None:
    assert not parse("DiagnosticReport", [("subject", "1")], BASE).search.include_silent
    assert parse("DiagnosticReport", [("_tag", "silent")], BASE).search.include_silent
    assert not parse("DiagnosticReport", [("_tag", "other")], BASE).search.include_silent


def test_an_unknown_parameter_is_an_error_only_when_strict() -> None:
    pairs = [("subject", "1"), ("birthdate", "1961")]
    assert parse("DiagnosticReport", pairs, BASE).unknown == ("birthdate",)
    with pytest.raises(SearchInvalid, match="birthdate"):
        parse("DiagnosticReport", pairs, BASE, strict=True)


def test_a_parameter_without_a_value_is_ignored() -> None:
    assert parse("DiagnosticReport", [("subject", "")], BASE).search.criteria == ()


@given(st.lists(st.tuples(st.sampled_from([p.name for p in PARAMETERS["DiagnosticReport"]]), st.text(max_size=20))))
def test_any_value_is_either_a_search_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        query = parse("DiagnosticReport", pairs, BASE)
    except SearchInvalid:
        return
    assert all(criterion.alternatives for criterion in query.search.criteria)


def document(name: str) -> Document:
    content = f'{{"resourceType":"DiagnosticReport","id":"{name}","status":"preliminary","code":{{"text":"1.50"}}}}'
    return Document(type="DiagnosticReport", id=name, version=1, body=Plain(content.encode()), last_updated=TIME)


def test_a_bundle_is_valid_fhir_with_full_urls_total_and_links() -> None:
    query = parse("DiagnosticReport", [("subject", "1"), ("_count", "1")], BASE)
    content = bundle(query, Page(documents=(document("a"),), total=2, next="c u/r"), BASE)
    found = valid("Bundle", content)
    assert found.type == "searchset"
    assert found.total == 2
    (entry,) = found.entry
    assert entry.fullUrl == f"{BASE}/DiagnosticReport/a"
    assert entry.search.mode == "match"
    links = {link.relation: urlsplit(link.url) for link in found.link}
    assert dict(parse_qsl(links["self"].query)) == {"subject": "1", "_count": "1"}
    assert dict(parse_qsl(links["next"].query)) == {"subject": "1", "_count": "1", "_cursor": "c u/r"}


def test_the_next_link_replaces_the_cursor_it_came_by() -> None:
    query = parse("DiagnosticReport", [("_cursor", "old")], BASE)
    links = json.loads(bundle(query, Page(documents=(document("a"),), total=9, next="new"), BASE))["link"]
    assert [parse_qsl(urlsplit(link["url"]).query) for link in links] == [[("_cursor", "old")], [("_cursor", "new")]]


def test_stored_bytes_go_into_the_bundle_as_they_are() -> None:
    query = parse("DiagnosticReport", [], BASE)
    assert document("a").content in bundle(query, Page(documents=(document("a"),), total=1, next=None), BASE)


def test_an_empty_result_has_no_entry_element() -> None:
    found = json.loads(bundle(parse("DiagnosticReport", [], BASE), Page(documents=(), total=0, next=None), BASE))
    assert "entry" not in found
    assert [link["relation"] for link in found["link"]] == ["self"]


def test_an_ignored_parameter_is_told_in_an_outcome_entry_and_is_not_in_the_self_link() -> None:
    query = parse("DiagnosticReport", [("birthdate", "1961"), ("subject", "1")], BASE)
    found = json.loads(bundle(query, Page(documents=(document("a"),), total=1, next=None), BASE))
    assert found["entry"][1]["search"] == {"mode": "outcome"}
    assert "birthdate" in found["entry"][1]["resource"]["issue"][0]["details"]["text"]
    assert "birthdate" not in found["link"][0]["url"]
    valid("Bundle", json.dumps(found).encode())
