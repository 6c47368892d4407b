from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from audit.columns import MAX_KEY_CHARACTERS, Compressed, UtcDateTime, as_key, storable
from tests.audit.values import NOW

ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()))
DIALECT = sqlite.dialect()


@given(ANY_TEXT)
def test_storable_text_is_unicode_without_nul_and_otherwise_unchanged(text: str) -> None:
    stored = storable(text)
    stored.encode()
    assert "\0" not in stored
    assert storable(stored) == stored
    if "\ufffd" not in stored:
        assert stored == text


@given(ANY_TEXT, ANY_TEXT)
def test_keys_are_equal_exactly_where_the_texts_are(a: str, b: str) -> None:
    assert (as_key(a) == as_key(b)) == (a == b)
    assert len(as_key(a)) <= MAX_KEY_CHARACTERS


@given(st.binary())
def test_compressed_bytes_come_back(content: bytes) -> None:
    column = Compressed()
    assert column.process_result_value(column.process_bind_param(content, DIALECT), DIALECT) == content


def test_times_are_stored_in_utc_and_naive_ones_are_refused() -> None:
    column = UtcDateTime()
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    stored = column.process_bind_param(elsewhere, DIALECT)
    assert stored is not None
    assert stored.utcoffset() == timedelta(0)
    assert column.process_result_value(stored.replace(tzinfo=None), DIALECT) == NOW
    with pytest.raises(ValueError, match="aware"):
        column.process_bind_param(datetime(2026, 1, 1), DIALECT)  # noqa: DTZ001  the very thing that is refused
