import json
from typing import Any

import jsonpatch
import jsonpointer
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import InvalidContent, Malformed, TooLarge
from interop.fhir.patch import MAX_OPERATIONS, patched

LIMIT = 100_000
CONTENT = (
    b'{"resourceType":"Observation","id":"o","meta":{"versionId":"3","lastUpdated":"2026-03-02T09:30:00.000Z"},'
    b'"status":"final","valueQuantity":{"value":1.50,"unit":"mV"},"note":[{"text":"a"},{"text":"b"}],'
    b'"text":{ "div":"\\u00e9" },"component":[{"valueSampledData":{"period":2.0,"factor":1E-3}}]}'
)

names = st.sampled_from(["status", "note", "a/b", "m~n", "0", "x", ""])
leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1.5, -2.25]) | st.text(max_size=2)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
tokens = names | st.sampled_from(["1", "2", "-", "-1", "01", "id", "meta", "9" * 30])
pointers = st.lists(tokens, max_size=3).map(lambda parts: jsonpointer.JsonPointer.from_parts(parts).path)
operations = st.fixed_dictionaries({
    "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
    "path": pointers,
    "from": pointers,
    "value": values,
})  # fmt: skip
bodies = st.dictionaries(names, values, max_size=4).map(lambda members: {"resourceType": "Basic", "id": "b", **members})


def apply(*operations: dict[str, Any], content: bytes = CONTENT, limit: int = LIMIT) -> bytes:
    return patched(content, orjson.dumps(operations), limit=limit)


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


def naive(content: bytes, patch: list[dict[str, Any]]) -> Any:
    """What the library makes of values without their text, step by step; None where that cannot be, or where the type
    or the id would change."""
    value = json.loads(content)
    for step in patch:
        try:
            value = jsonpatch.apply_patch(value, [step])
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
            return None
        if not isinstance(value, dict) or (value.get("resourceType"), value.get("id")) != ("Basic", "b"):
            return None
    return value


def probe(number: str) -> bytes:
    return f'[{{"op":"test","path":"/valueQuantity/value","value":{number}}}]'.encode()


def test_each_operation_does_what_rfc_6902_says() -> None:
    found = orjson.loads(
        apply(
            op("test", "/status", value="final"),
            op("replace", "/status", value="amended"),
            op("add", "/note/-", value={"text": "c"}),
            op("remove", "/note/0"),
            op("copy", "/note/0/authorString", **{"from": "/note/1/text"}),
            op("move", "/bodySite", **{"from": "/text"}),
        )
    )
    assert found["status"] == "amended"
    assert found["note"] == [{"text": "b", "authorString": "c"}, {"text": "c"}]
    assert found["bodySite"] == {"div": "é"}
    assert "text" not in found


def test_what_no_operation_writes_keeps_its_text() -> None:
    result = apply(op("add", "/valueQuantity/code", value="mV"), op("replace", "/note/0/text", value="z"))
    assert b'"valueQuantity":{"value":1.50,"unit":"mV","code":"mV"}' in result
    assert b'"component":[{"valueSampledData":{"period":2.0,"factor":1E-3}}]' in result
    assert b'"text":{ "div":"\\u00e9" }' in result


def test_numbers_of_the_patch_keep_their_text_too() -> None:
    body = b'[{"op":"replace","path":"/valueQuantity/value","value":2.500},{"op":"add","path":"/x","value":1e5}]'
    result = patched(CONTENT, body, limit=LIMIT)
    assert b'"value":2.500,' in result
    assert b'"x":1e5}' in result


def test_numbers_that_move_keep_their_text() -> None:
    copied = op("copy", "/component/0/valueSampledData/lowerLimit", **{"from": "/valueQuantity/value"})
    moved = op("move", "/valueInteger", **{"from": "/component/0/valueSampledData/period"})
    result = apply(copied, moved)
    assert b'"lowerLimit":1.50' in result
    assert b'"valueInteger":2.0' in result


def test_a_patch_without_operations_changes_nothing() -> None:
    assert apply() == CONTENT


@pytest.mark.parametrize("text", ["1.5", "1.500", "15e-1", "0.15E1"])
def test_a_test_compares_numbers_by_value(text: str) -> None:
    assert orjson.loads(patched(CONTENT, probe(text), limit=LIMIT)) == orjson.loads(CONTENT)


@pytest.mark.parametrize("text", ["1.51", '"1.50"', "1.5e999", "true", "null", "[1.5]", "1e-99999999999999999999"])
def test_a_test_against_another_value_fails(text: str) -> None:
    with pytest.raises((InvalidContent, Malformed)):
        patched(CONTENT, probe(text), limit=LIMIT)


@pytest.mark.parametrize(
    "refused",
    [
        op("test", "/status", value="amended"),
        op("test", "/absent", value=None),
        op("remove", "/absent"),
        op("remove", ""),
        op("replace", "/absent", value=1),
        op("replace", "/note/-", value=1),
        op("replace", "/note/2", value=1),
        op("add", "/absent/deeper", value=1),
        op("add", "/note/3", value=1),
        op("add", "/note/01", value=1),
        op("add", "/note/-/text", value=1),
        op("add", "/status/x", value=1),
        op("add", "/valueQuantity/value/x", value=1),
        op("copy", "/x", **{"from": "/absent"}),
        op("copy", "/x", **{"from": "/note/-"}),
        op("move", "/x", **{"from": "/note/9"}),
        op("move", "/note/0/x", **{"from": "/note"}),
    ],
    ids=str,
)
def test_an_operation_that_cannot_be_done_is_named_without_the_patients_data(refused: dict[str, Any]) -> None:
    with pytest.raises(InvalidContent) as caught:
        apply(op("test", "/id", value="o"), refused)
    assert caught.value.element == "patch[1].path"
    assert f"operation 1 ({refused['op']} {refused['path']})" in caught.value.message
    assert "2026" not in caught.value.message


@pytest.mark.parametrize(
    "refused",
    [
        op("replace", "/id", value="other"),
        op("remove", "/id"),
        op("replace", "/resourceType", value="Patient"),
        op("replace", "/meta/versionId", value="4"),
        op("remove", "/meta/lastUpdated"),
        op("replace", "/meta", value={"tag": []}),
        op("move", "/meta/tag", **{"from": "/meta/versionId"}),
        op("replace", "", value={"resourceType": "Observation"}),
        op("replace", "", value=[]),
        op("copy", "", **{"from": "/note"}),
    ],
    ids=str,
)
def test_what_is_the_servers_cannot_be_changed(refused: dict[str, Any]) -> None:
    with pytest.raises(InvalidContent, match="are the server's") as caught:
        apply(refused)
    assert caught.value.element == "patch[0].path"


def test_the_rest_of_meta_can_be_changed() -> None:
    found = orjson.loads(apply(op("add", "/meta/tag", value=[{"code": "t"}]), op("test", "/meta/versionId", value="3")))
    assert found["meta"]["tag"] == [{"code": "t"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'"x"',
        b"[1]",
        b"[[]]",
        b"[{}]",
        b'["op"]',
        b'[{"op":"add","path":"/x"}]',
        b'[{"op":"test","path":"/x"}]',
        b'[{"op":"copy","path":"/x"}]',
        b'[{"op":"move","path":"/x","from":7}]',
        b'[{"op":"move","path":"/x","from":"y"}]',
        b'[{"op":"remove"}]',
        b'[{"op":"remove","path":"x"}]',
        b'[{"op":"remove","path":"/~2"}]',
        b'[{"op":"remove","path":["x"]}]',
        b'[{"op":"remove","path":1}]',
        b'[{"op":"delete","path":"/x"}]',
        b'[{"op":["add"],"path":"/x"}]',
        b'[{"op":"add","path":"/x","value":NaN}]',
        b'[{"op":"add","path":"/x","value":"\xff"}]',
        b'[{"op":"add","path":"/x","value":"\\ud800"}]',
        b"[" * 5000,
        b"[" * 1000 + b"]" * 1000,
    ],
    ids=lambda body: str(body[:40]),
)
def test_a_body_that_is_no_patch_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        patched(CONTENT, body, limit=LIMIT)


def test_members_that_an_operation_does_not_know_are_ignored() -> None:
    assert b'"status":"x"' in apply(op("replace", "/status", value="x", **{"from": 7}))
    assert b'"status":"x"' in apply(op("replace", "/status", value="x", **{"from": "no pointer", "comment": 1}))


def test_the_number_of_operations_is_limited() -> None:
    test = op("test", "/id", value="o")
    assert apply(*[test] * MAX_OPERATIONS)
    with pytest.raises(TooLarge):
        apply(*[test] * (MAX_OPERATIONS + 1))


def test_copies_of_copies_are_refused_before_they_fill_the_memory() -> None:
    doubling = [op("copy", f"/x/{number}", **{"from": "/x"}) for number in range(100)]
    with pytest.raises(TooLarge) as caught:
        apply(op("add", "/x", value={"a": "b"}), *doubling)
    assert caught.value.element is not None
    assert int(caught.value.element.removeprefix("patch[").removesuffix("].path")) < 20


def test_a_result_over_the_limit_is_refused() -> None:
    addition = op("add", "/x", value="y" * 1000)
    size = len(apply(addition))
    assert len(apply(addition, limit=size)) == size
    with pytest.raises(TooLarge):
        apply(addition, limit=size - 1)


def test_nesting_without_end_is_refused() -> None:
    deeper = [op("copy", "/x/a", **{"from": "/x"}), op("move", "/y", **{"from": "/x"}), op("add", "/x", value={})]
    nested = [step for _ in range(300) for step in (*deeper, op("move", "/x/a", **{"from": "/y"}))]
    with pytest.raises(InvalidContent, match="nested too deep"):
        apply(op("add", "/x", value={}), *nested[:900])
    deep = b'[{"op":"add","path":"/x","value":' + b"[" * 400 + b"]" * 400 + b"}]"
    with pytest.raises(InvalidContent, match="nested too deep"):
        patched(CONTENT, deep, limit=LIMIT)


@settings(max_examples=300)
@given(bodies, st.lists(operations, max_size=5))
def test_any_patch_gives_what_it_gives_on_parsed_values_or_is_refused(
    resource: dict[str, Any], patch: list[dict[str, Any]]
) -> None:
    content = orjson.dumps(resource)
    expected = naive(content, patch)
    if expected is None:
        with pytest.raises(InvalidContent):
            patched(content, orjson.dumps(patch), limit=LIMIT)
    else:
        assert json.loads(patched(content, orjson.dumps(patch), limit=LIMIT)) == expected


@given(st.lists(st.sampled_from(["0", "-0", "1.50", "1e5", "1E-2", "-0.0", "9" * 40]), min_size=1, max_size=5))
def test_no_number_is_respelled(texts: list[str]) -> None:
    content = f'{{"resourceType":"Basic","id":"b","x":[{",".join(texts)}],"y":{{"z":{texts[0]}}}}}'
    body = b'[{"op":"add","path":"/x/-","value":1.0},{"op":"add","path":"/y/a","value":0e0}]'
    result = patched(content.encode(), body, limit=LIMIT)
    assert f'"x":[{",".join(texts)},1.0]'.encode() in result
    assert f'"y":{{"z":{texts[0]},"a":0e0}}'.encode() in result
