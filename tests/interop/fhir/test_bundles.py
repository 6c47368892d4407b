import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from audit.packed import Plain
from audit.records import Document, Page
from interop.fhir.bundles import history, searchset
from interop.fhir.search import parse
from tests.interop.valid import valid

BASE = "http://ecg.example/fhir"
TIME = datetime(2026, 3, 2, 9, 20, 0, 120_456, UTC)


def document(name: str, *, version: int = 1, deleted: bool = False, type: str = "DiagnosticReport") -> Document:
    content = f'{{"resourceType":"{type}","id":"{name}","status":"preliminary","code":{{"text":"1.50"}}}}'
    if type == "Patient":
        content = f'{{"resourceType":"Patient","id":"{name}"}}'
    body = Plain(b"" if deleted else content.encode())
    return Document(type=type, id=name, version=version, body=body, last_updated=TIME, deleted=deleted)


def page(
    *documents: Document, total: int | None = None, next: str | None = None, included: Sequence[Document] = ()
) -> Page:
    return Page(documents=documents, total=total, next=next, included=tuple(included))


def bundle(pairs: Sequence[tuple[str, str]], found: Page) -> Any:
    """The searchset of DiagnosticReports, checked."""
    content = searchset(parse("DiagnosticReport", pairs, BASE, now=5.0), found, BASE)
    valid("Bundle", content)
    return json.loads(content)


def links(found: Any) -> dict[str, list[tuple[str, str]]]:
    return {link["relation"]: parse_qsl(urlsplit(link["url"]).query) for link in found["link"]}


def test_a_searchset_has_full_urls_the_total_and_links() -> None:
    found = bundle([("subject", "Patient/1"), ("_count", "1")], page(document("a"), total=2, next="cur"))
    assert (found["type"], found["total"]) == ("searchset", 2)
    (entry,) = found["entry"]
    assert entry["fullUrl"] == f"{BASE}/DiagnosticReport/a"
    assert entry["search"] == {"mode": "match"}
    assert links(found) == {
        "self": [("subject", "Patient/1"), ("_count", "1")],
        "next": [("subject", "Patient/1"), ("_count", "1"), ("_cursor", "5.cur")],
    }


def test_the_next_link_replaces_the_cursor_it_came_by() -> None:
    found = bundle([("_cursor", "4.old"), ("status", "a,b|c")], page(document("a"), next="new"))
    assert links(found) == {
        "self": [("_cursor", "4.old"), ("status", "a,b|c")],
        "next": [("status", "a,b|c"), ("_cursor", "4.new")],
    }


def test_stored_bytes_go_in_as_they_are_or_as_they_are_cut() -> None:
    query, found = parse("DiagnosticReport", [], BASE, now=0.0), page(document("a"), included=[document("b")])
    content = searchset(query, found, BASE)
    assert document("a").content in content
    assert document("b").content in content
    cut = searchset(query, found, BASE, lambda content: b'{"resourceType":"DiagnosticReport","id":"x"}')
    assert [entry["resource"]["id"] for entry in json.loads(cut)["entry"]] == ["x", "x"]


def test_a_total_that_was_not_counted_is_not_there() -> None:
    assert "total" not in bundle([], page(document("a")))
    assert bundle([], page(total=0))["total"] == 0


def test_an_empty_result_has_no_entry_element() -> None:
    found = bundle([], page(total=0))
    assert "entry" not in found
    assert found["link"] == [{"relation": "self", "url": f"{BASE}/DiagnosticReport"}]


def test_what_is_included_comes_after_the_matches_and_is_told_apart() -> None:
    found = bundle([], page(document("a"), total=1, included=[document("p", type="Patient")]))
    assert [(entry["fullUrl"], entry["search"]["mode"]) for entry in found["entry"]] == [
        (f"{BASE}/DiagnosticReport/a", "match"),
        (f"{BASE}/Patient/p", "include"),
    ]


def test_an_ignored_parameter_is_told_in_an_outcome_entry_and_is_not_in_the_self_link() -> None:
    found = bundle([("birthdate", "1961"), ("subject", "Patient/1")], page(document("a"), total=1))
    assert found["entry"][1]["search"] == {"mode": "outcome"}
    (issue,) = found["entry"][1]["resource"]["issue"]
    assert issue["severity"] == "warning"
    assert "birthdate" in issue["details"]["text"]
    assert links(found)["self"] == [("subject", "Patient/1")]


def versions(*documents: Document, next: str | None = None) -> Any:
    url = f"{BASE}/DiagnosticReport/_history"
    content = history(page(*documents, next=next), url, BASE, [("_count", "2"), ("_cursor", "old")])
    valid("Bundle", content)
    return json.loads(content)


def test_a_history_tells_each_version_as_the_request_that_made_it() -> None:
    found = versions(document("a", version=3, deleted=True), document("a", version=2), document("a"))
    assert found["type"] == "history"
    assert [entry["request"] for entry in found["entry"]] == [
        {"method": "DELETE", "url": "DiagnosticReport/a"},
        {"method": "PUT", "url": "DiagnosticReport/a"},
        {"method": "POST", "url": "DiagnosticReport"},
    ]
    assert [entry["response"] for entry in found["entry"]] == [
        {
            "status": status,
            "location": f"{BASE}/DiagnosticReport/a/_history/{version}",
            "etag": f'W/"{version}"',
            "lastModified": "2026-03-02T09:20:00.120Z",
        }
        for status, version in (("204 No Content", 3), ("200 OK", 2), ("201 Created", 1))
    ]
    assert ["resource" in entry for entry in found["entry"]] == [False, True, True]
    assert {entry["fullUrl"] for entry in found["entry"]} == {f"{BASE}/DiagnosticReport/a"}


def test_the_pages_of_a_history_follow_each_other() -> None:
    assert links(versions(document("a"), next="new")) == {
        "self": [("_count", "2"), ("_cursor", "old")],
        "next": [("_count", "2"), ("_cursor", "new")],
    }
    assert list(links(versions(document("a")))) == ["self"]


def test_a_history_keeps_the_bytes_of_each_version() -> None:
    content = history(page(document("a")), f"{BASE}/DiagnosticReport/a/_history", BASE, [])
    assert document("a").content in content
    assert orjson.loads(content)["link"] == [{"relation": "self", "url": f"{BASE}/DiagnosticReport/a/_history"}]
