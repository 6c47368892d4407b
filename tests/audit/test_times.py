from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.times import EPOCH, FIRST, LAST, at_microseconds, microseconds

EXACT = datetime(2255, 1, 1, tzinfo=UTC) - EPOCH

spans = st.timedeltas(-EXACT, EXACT)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(spans, offsets)
def test_a_time_until_2255_survives_exactly_whatever_its_zone(since: timedelta, zone: timezone) -> None:
    at = EPOCH + since
    assert microseconds(at.astimezone(zone)) == microseconds(at)
    assert at_microseconds(microseconds(at)) == at


@given(st.timedeltas(FIRST - EPOCH, LAST - EPOCH), st.timedeltas(FIRST - EPOCH, LAST - EPOCH))
def test_numbers_have_the_order_of_their_times(one: timedelta, other: timedelta) -> None:
    assert one > other or microseconds(EPOCH + one) <= microseconds(EPOCH + other)


def test_neighbouring_microseconds_are_told_apart() -> None:
    at = datetime(2200, 1, 1, tzinfo=UTC)
    assert microseconds(at + timedelta(microseconds=1)) == microseconds(at) + 1


@pytest.mark.parametrize(
    ("number", "at"),
    [(0.0, EPOCH), (-1.0, datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)), (1e300, LAST), (-1e300, FIRST)],
)
def test_a_number_beyond_all_times_is_the_first_or_the_last(number: float, at: datetime) -> None:
    assert at_microseconds(number) == at
