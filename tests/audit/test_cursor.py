import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.columns import as_key
from audit.criteria import ID, LAST_UPDATED, Criterion, Order, Search
from audit.cursor import Cursor, Key, seal, unseal
from inference.errors import SearchInvalid

BY_DATE = Order(name="date", ranges=True)
BY_CODE = Order(name="code", descending=True)
SEARCH = Search(type="Observation", order=(BY_DATE, BY_CODE))

numbers = st.floats(allow_nan=False, allow_infinity=False)
keys = st.lists(st.none() | numbers | st.text(), max_size=4)


@given(keys, st.text())
def test_a_place_is_read_as_it_was_written_by_who_asks_the_same(place: list[Key], asked: str) -> None:
    sealed = seal(place, asked)
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert unseal(sealed, asked) == place
    with pytest.raises(SearchInvalid, match="another"):
        unseal(sealed, asked + "x")


@given(st.none() | numbers, st.none() | st.text(), st.text(min_size=1))
def test_a_cursor_names_the_last_document_and_what_it_was_sorted_by(date: Key, code: Key, id: str) -> None:
    written = Cursor((date, code), id).written(SEARCH)
    assert Cursor.read(written, SEARCH) == Cursor((date, code), as_key(id))


@pytest.mark.parametrize(
    "other",
    [
        Search(type="Patient", order=SEARCH.order),
        Search(type="Observation", order=(BY_CODE, BY_DATE)),
        Search(type="Observation", order=SEARCH.order, include_silent=True),
        Search(type="Observation", order=SEARCH.order, criteria=(Criterion(name="code", alternatives=((None, "x"),)),)),
    ],
)
def test_with_another_search_a_cursor_means_nothing(other: Search) -> None:
    written = Cursor((1.0, "x"), "a").written(SEARCH)
    with pytest.raises(SearchInvalid, match="another search"):
        Cursor.read(written, other)


def test_a_page_of_another_length_goes_on_at_the_same_place() -> None:
    written = Cursor((1.0, "x"), "a").written(SEARCH)
    assert Cursor.read(written, Search(type="Observation", order=SEARCH.order, count=7)).id == "a"


@pytest.mark.parametrize(
    ("order", "place"),
    [
        (BY_DATE, ["x", "a"]),
        (BY_DATE, [1.0]),
        (BY_DATE, [1.0, 2.0, "a"]),
        (BY_DATE, [1.0, 2.0]),
        (BY_DATE, [True, "a"]),
        (BY_DATE, [float("nan"), "a"]),
        (BY_DATE, [float("inf"), "a"]),
        (BY_DATE, [-float("inf"), "a"]),
        (BY_CODE, [1.0, "a"]),
        (Order(name=ID), [None, "a"]),
        (Order(name=LAST_UPDATED), [None, "a"]),
        (Order(name=LAST_UPDATED), [float("nan"), "a"]),
        (BY_DATE, []),
        (BY_DATE, [None, None]),
    ],
)
def test_a_forged_place_is_refused(order: Order, place: list[Key]) -> None:
    search = Search(type="Observation", order=(order,))
    asked = search.type, search.criteria, search.order, search.include_silent
    assert unseal(seal(["x"], asked), asked) == ["x"]
    with pytest.raises(SearchInvalid, match="cannot be read"):
        Cursor.read(seal(place, asked), search)


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text", ["", "1", "null", "[]", "{}", '"x"', "[1", "[" * 100_000, "1" * 5000, '["x", 1e999]', "\ufeff[1]", "[NaN]"]
)
def test_what_is_no_place_at_all_is_refused(text: str) -> None:
    with pytest.raises(SearchInvalid):
        unseal(encoded(text), "asked")


@given(st.binary(max_size=30).map(lambda raw: base64.urlsafe_b64encode(raw).decode()) | st.text(max_size=30))
def test_any_other_text_is_refused(cursor: str) -> None:
    with pytest.raises(SearchInvalid):
        unseal(cursor, "asked")


def test_an_endless_number_is_refused_in_every_spelling() -> None:
    digest, *_ = json.loads(base64.urlsafe_b64decode(seal([], "asked") + "=="))
    for number in ("1e999", "-1e999", "NaN", "Infinity", "-Infinity"):
        with pytest.raises(SearchInvalid, match="cannot be read"):
            unseal(encoded(f'["{digest}", {number}]'), "asked")


@pytest.mark.parametrize(
    ("keys", "id", "comes_after"),
    [
        ((2.0, "x"), "b", True),
        ((0.0, "x"), "z", False),
        ((1.0, "w"), "a", True),
        ((1.0, "y"), "z", False),
        ((1.0, "x"), "a", True),
        ((1.0, "x"), "b", False),
        ((1.0, "x"), "c", False),
        ((None, "x"), "a", True),
        ((1.0, None), "z", True),
    ],
)
def test_what_comes_after_a_cursor_is_told_by_every_key_and_the_id(
    keys: tuple[Key, ...], id: str, comes_after: bool
) -> None:
    cursor = Cursor((1.0, "x"), "b")  # dates ascending, codes descending, and so the ids
    assert cursor.precedes(keys, id, SEARCH.order) is comes_after


def test_nothing_with_a_value_comes_after_one_without() -> None:
    cursor = Cursor((None, None), "b")
    assert not cursor.precedes((1.0, None), "a", SEARCH.order)
    assert not cursor.precedes((None, "x"), "a", SEARCH.order)
    assert cursor.precedes((None, None), "a", SEARCH.order)
