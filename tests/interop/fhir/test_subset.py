import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import SearchInvalid
from inference.formats.wfdb import read
from inference.recording import Recording
from interop.fhir.subset import ALWAYS, SUBSETTED, TYPES, Subset, Summary, pretty, subset
from interop.resources.ecg_document import render_ecg
from interop.resources.validation import DEFINITIONS
from tests.fakes import NOW
from tests.interop.valid import valid

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "00184_hr.hea"
HEAD = '"resourceType":"Observation","id":"o-1"'
RAW = (
    b'{"resourceType":"Observation","id":"o-1","meta":{"versionId":"3","tag":[{"code":"silent"}]},'
    b'"text":{"status":"generated","div":"<div/>"},"status":"final","_status":{"id":"s"},"code":{"text":"\\u00e9"},'
    b'"bodySite":{"text":"chest"},"modifierExtension":[{"url":"urn:m","valueDecimal":1.50}],'
    b'"valueQuantity": { "value": 1.50, "extension":[{"url":"urn:x","valueDecimal":2e3}]},"issued":"a.120Z",'
    b'"component":[{"id":"c","code":{"text":"a"},"interpretation":[{"text":"high"}],"valueQuantity":{"value":1e-0}},'
    b'{"code":{"text":"b"},"valueSampledData":{"origin":{"value":0.0},"period":2.0,"dimensions":1,"data":"1 2"}}]}'
)

numbers = st.sampled_from(["0", "-0", "1.50", "1e5", "1E-2", "-0.0", "123456789012345678901234567890", "0.10"])
scalars = numbers | st.sampled_from(["null", "true", "false"]) | st.text().map(json.dumps)


def arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.dictionaries(st.text(), inner, max_size=3).map(
        lambda members: "{ " + " ,".join(f"{json.dumps(name)} :{value}" for name, value in members.items()) + "\n}"
    )


texts = st.recursive(scalars, lambda inner: arrays(inner) | objects(inner), max_leaves=10)
top_level = st.dictionaries(st.sampled_from([*TYPES["Observation"], "_status", "unknown"]), texts, max_size=8)


def exactly(content: str | bytes) -> Any:
    """JSON with the spelling of each number."""
    return json.loads(content, parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text))


def of(summary: str | None = None, elements: str | None = None) -> Subset:
    wanted = Subset.of(summary, elements)
    assert wanted is not None
    return wanted


def names(content: bytes) -> set[str]:
    return set(orjson.loads(content)) - ALWAYS


def ecg() -> bytes:
    found = read(EXAMPLE)
    recording = Recording(found.signal, found.sampling_rate, recorded_at=NOW)
    subject = {"reference": "Patient/1"}
    return render_ecg(recording, id="e", subject=subject, identifiers=[], issued=NOW)[1].content


@pytest.mark.parametrize(("summary", "elements"), [(None, None), ("false", None), ("", ""), (None, "")])
def test_whole_resources_need_no_subset(summary: str | None, elements: str | None) -> None:
    assert Subset.of(summary, elements) is None


@pytest.mark.parametrize(
    ("summary", "elements", "element"),
    [("yes", None, "_summary"), ("TRUE", None, "_summary"), ("true", "code", "_elements"), ("false", "a", "_elements")],
)
def test_what_cannot_be_meant_is_refused(summary: str, elements: str | None, element: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        Subset.of(summary, elements)
    assert caught.value.element == element


def test_a_summary_has_what_the_definitions_mark_at_every_depth() -> None:
    found = orjson.loads(subset(RAW, of("true")))
    assert set(found) - ALWAYS == {
        "status", "_status", "code", "modifierExtension", "valueQuantity", "issued", "component",
    }  # fmt: skip
    first, second = found["component"]
    assert set(first) == {"id", "code", "valueQuantity"}
    assert set(second["valueSampledData"]) == {"origin", "period", "dimensions"}


def test_text_is_the_narrative_with_what_is_mandatory_or_modifies() -> None:
    assert names(subset(RAW, of("text"))) == {"text", "status", "_status", "code", "modifierExtension"}


def test_data_is_everything_but_the_narrative() -> None:
    assert names(subset(RAW, of("data"))) == names(RAW) - {"text"}


def test_a_count_leaves_the_resource_alone() -> None:
    wanted = of("count")
    assert wanted.is_count
    assert subset(RAW, wanted) == RAW


@pytest.mark.parametrize(
    ("elements", "more"),
    [
        ("bodySite", {"bodySite"}),
        ("bodySite, issued", {"bodySite", "issued"}),
        ("value", {"valueQuantity"}),
        ("value[x]", {"valueQuantity"}),
        ("valueQuantity", {"valueQuantity"}),
        ("nonsense,component.code", set()),
        (",", set()),
    ],
)
def test_elements_are_those_named_with_what_is_mandatory_or_modifies(elements: str, more: set[str]) -> None:
    assert names(subset(RAW, of(elements=elements))) == {"status", "_status", "code", "modifierExtension"} | more


def test_what_stays_keeps_its_text() -> None:
    for wanted in (of("data"), of(elements="value,component")):
        cut = subset(RAW, wanted)
        assert b'"valueQuantity":{ "value": 1.50, "extension":[{"url":"urn:x","valueDecimal":2e3}]}' in cut
        assert b'"text":"\\u00e9"' in cut
        assert b'"period":2.0' in cut


def test_a_subset_is_tagged_once_beside_the_tags_it_had() -> None:
    once = subset(RAW, of("data"))
    assert orjson.loads(once)["meta"] == {"versionId": "3", "tag": [{"code": "silent"}, SUBSETTED]}
    assert subset(once, of("data")) == once


def test_a_resource_without_meta_gets_one_for_the_tag() -> None:
    found = orjson.loads(subset(b'{"resourceType":"Patient"}', of("true")))
    assert found == {"resourceType": "Patient", "meta": {"tag": [SUBSETTED]}}


def test_an_element_that_would_be_left_empty_stays_whole() -> None:
    raw = b'{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"data":"QQ=="}}]}'
    assert orjson.loads(subset(raw, of("true")))["content"] == [{"attachment": {"data": "QQ=="}}]


def test_a_resource_of_another_type_stays_whole() -> None:
    raw = b'{"resourceType":"Encounter","status":"finished","text":{}}'
    assert subset(raw, of("true")) == raw


def test_the_summary_of_an_ecg_is_valid_and_has_no_samples() -> None:
    content = ecg()
    summary = subset(content, of("true"))
    assert len(summary) < len(content) / 20
    found = valid("Observation", summary)
    assert len(found.component) == 12
    assert all(part.valueSampledData.data is None for part in found.component)


@pytest.mark.parametrize("type", sorted(TYPES.keys() & DEFINITIONS.keys()))
def test_the_table_names_the_elements_that_validation_knows(type: str) -> None:
    rows = {name: (row.get("min"), row.get("choice")) for name, row in TYPES[type].items()}
    assert rows == {name: (row.get("min"), row.get("choice")) for name, row in DEFINITIONS[type].items()}


def test_every_type_that_the_table_refers_to_is_in_it() -> None:
    assert {row["type"] for rows in TYPES.values() for row in rows.values() if "type" in row} <= TYPES.keys()


@given(top_level, st.sampled_from([of("text"), of("data"), of(elements="value,note,code")]))
def test_a_subset_is_what_a_parser_would_cut(members: dict[str, str], wanted: Subset) -> None:
    rest = [f"{json.dumps(name)}: {value}" for name, value in members.items() if name not in ALWAYS]
    raw = "{" + ",".join([HEAD, *rest]) + "}"
    before, after = exactly(raw), exactly(subset(raw.encode(), wanted))
    assert after.pop("meta") == {"tag": [SUBSETTED]}
    kept = {
        name
        for name in before
        if name in ALWAYS | {"status", "_status", "code", "implicitRules", "modifierExtension"}
        or (wanted.summary is Summary.TEXT and name == "text")
        or (wanted.summary is Summary.DATA and name != "text")
        or (wanted.summary is None and re.fullmatch("note|value[A-Z].*", name))
    }
    assert after == {name: before[name] for name in kept}


@given(texts)
def test_pretty_json_means_the_same_to_the_last_digit(text: str) -> None:
    indented = pretty(text.encode())
    assert exactly(indented) == exactly(text)


def test_pretty_json_has_a_line_for_each_member() -> None:
    assert pretty(b'{"a":[1.50,{}],"b":{"c":1E5}}').decode().splitlines() == [
        "{", '  "a": [', "    1.50,", "    {}", "  ],", '  "b": {', '    "c": 1E5', "  }", "}",
    ]  # fmt: skip
