import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from interop.resources.stored import stored
from tests.fakes import NOW

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_decimals_and_times_keep_their_text() -> None:
    raw = b'{ "resourceType" : "Observation",\n "id":"x", "valueQuantity": {"value": 1.50}, "issued":"a.120Z" }'
    kept = stored(raw, "new", 3, NOW)
    assert b'{"value": 1.50}' in kept
    assert b'"a.120Z"' in kept
    document = orjson.loads(kept)
    assert document["id"] == "new"
    assert document["meta"] == {"versionId": "3", "lastUpdated": "2026-03-02T09:30:00.000Z"}


def test_meta_keeps_what_is_the_senders() -> None:
    meta = {"versionId": "9", "lastUpdated": "2020-01-01T00:00:00Z", "profile": ["p"], "tag": [{"code": "HTEST"}]}
    kept = orjson.loads(stored(orjson.dumps({"meta": meta, "resourceType": "Observation"}), "n", 1, NOW))
    assert kept["meta"]["profile"] == ["p"]
    assert kept["meta"]["tag"] == [{"code": "HTEST"}]
    assert kept["meta"]["versionId"] == "1"


def test_of_a_repeated_name_the_last_counts_as_it_does_for_the_parser() -> None:
    raw = b'{"resourceType":"Observation","status":"final","status":"cancelled"}'
    kept = stored(raw, "n", 1, NOW)
    assert kept.count(b"status") == 1
    assert orjson.loads(kept)["status"] == orjson.loads(raw)["status"] == "cancelled"


@given(st.dictionaries(st.text(), values, max_size=5), st.sampled_from([None, 2]), st.booleans())
def test_everything_else_means_the_same(members: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    resource = members | {"resourceType": "Observation"}
    resource.pop("meta", None)
    raw = json.dumps(resource, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    kept = json.loads(stored(raw, "n", 1, NOW))
    assert kept.pop("meta")["versionId"] == "1"
    assert kept == resource | {"id": "n"}
