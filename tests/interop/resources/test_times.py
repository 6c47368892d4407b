from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.resources.times import Precision, instant, moment


@pytest.mark.parametrize(
    ("text", "at", "precision"),
    [
        ("2026", datetime(2026, 7, 1, 12, tzinfo=UTC), Precision.YEAR),
        ("2026-02", datetime(2026, 2, 14, 12, tzinfo=UTC), Precision.MONTH),
        ("2026-03-02", datetime(2026, 3, 2, 12, tzinfo=UTC), Precision.DAY),
        ("2026-03-02T10:20:00+01:00", datetime(2026, 3, 2, 9, 20, tzinfo=UTC), Precision.TIME),
        ("2026-03-02T10:20:00.5Z", datetime(2026, 3, 2, 10, 20, 0, 500_000, UTC), Precision.TIME),
    ],
)
def test_a_date_time_is_read_to_its_precision(text: str, at: datetime, precision: Precision) -> None:
    assert moment(text) == (at, precision)


@pytest.mark.parametrize("text", ["", "20x6", "2026-13", "2026-02-30", "2026-03-02T10:20:00", "2026-03-02T25:00:00Z"])
def test_no_time_is_made_up(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text)


EPOCH = datetime(1900, 1, 1, tzinfo=UTC)


@given(st.timedeltas(timedelta(0), timedelta(days=100_000)), st.integers(-14 * 60, 14 * 60))
def test_an_instant_survives_to_the_millisecond(since: timedelta, offset: int) -> None:
    at = (EPOCH + since).astimezone(timezone(timedelta(minutes=offset)))
    text = instant(at)
    assert text.endswith("Z")
    assert timedelta(0) <= at - moment(text).at < timedelta(milliseconds=1)
