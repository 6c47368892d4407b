import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.resources.members import Verbatim, items, joined, members, parsed, written

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
indents = st.sampled_from([None, 0, 2])


@given(st.dictionaries(st.text(), values, max_size=5), indents, st.booleans())
def test_members_are_cut_as_they_were_written(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found = members(text)
    assert {name: json.loads(part) for name, part in found.items()} == value
    assert all(part in text for part in found.values())
    assert json.loads(joined(found)) == value


@given(st.lists(values, max_size=5), indents)
def test_items_are_cut_as_they_were_written(value: list[Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    found = list(items(text))
    assert [json.loads(part) for part in found] == value
    assert all(part in text for part in found)


def test_of_a_repeated_name_the_last_counts() -> None:
    assert members('{"a": 1, "a" : 1.50 }') == {"a": "1.50"}


def test_a_number_of_any_length_can_be_cut() -> None:
    digits = "7" * 10_000
    assert members(f'{{"a":{digits}}}') == {"a": digits}
    assert list(items(f"[{digits},-{digits}.0]")) == [digits, f"-{digits}.0"]


@pytest.mark.parametrize("text", ["1.50", "1e5", "-0", "0.10", "1E-2", "123456789012345678901234567890"])
def test_a_number_is_written_as_it_was_read(text: str) -> None:
    assert written(parsed(f'{{"a":[{text}]}}')) == f'{{"a":[{text}]}}'.encode()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1.50", "1.5", True),
        ("100", "1e2", True),
        ("-0", "0.0", True),
        ("1", "2", False),
        ("0.1", "0.10000000000000000001", False),
        ("1e-99999999999999999999", "1", False),
    ],
)
def test_numbers_are_equal_by_value(one: str, other: str, equal: bool) -> None:
    assert (Verbatim(one) == Verbatim(other)) is equal
    assert (hash(Verbatim(one)) == hash(Verbatim(other))) is equal


def test_a_number_is_neither_a_string_nor_a_truth_value() -> None:
    assert parsed("1") != "1"
    assert parsed("1") != True  # noqa: E712
    assert deepcopy(parsed("[1.50]")) == [Verbatim("1.5")]
    assert repr(parsed("1.50")) == "Verbatim('1.50')"


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "", "{"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parsed(text)


def test_only_json_can_be_written() -> None:
    with pytest.raises(TypeError):
        written({"a": object()})
