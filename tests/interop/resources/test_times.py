from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.resources.times import LAST, Precision, instant, moment, span


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


FIRST = datetime(1, 1, 1, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026", utc(2026, 1, 1), utc(2027, 1, 1)),
        ("2026-02", utc(2026, 2, 1), utc(2026, 3, 1)),
        ("2026-12", utc(2026, 12, 1), utc(2027, 1, 1)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2026-12-31", utc(2026, 12, 31), utc(2027, 1, 1)),
        ("2026-03-02T10:20Z", utc(2026, 3, 2, 10, 20), utc(2026, 3, 2, 10, 21)),
        ("2026-03-02T10:20:30+01:00", utc(2026, 3, 2, 9, 20, 30), utc(2026, 3, 2, 9, 20, 31)),
        ("2026-03-02T10:20:30.5Z", utc(2026, 3, 2, 10, 20, 30, 500_000), utc(2026, 3, 2, 10, 20, 30, 600_000)),
        ("2026-03-02T10:20:30.120Z", utc(2026, 3, 2, 10, 20, 30, 120_000), utc(2026, 3, 2, 10, 20, 30, 121_000)),
        ("2026-03-02T10:20:30.123456Z", utc(2026, 3, 2, 10, 20, 30, 123_456), utc(2026, 3, 2, 10, 20, 30, 123_457)),
        ("2026-03-02T10:20:30.123456789Z", utc(2026, 3, 2, 10, 20, 30, 123_456), utc(2026, 3, 2, 10, 20, 30, 123_457)),
        ("2016-12-31T23:59:60Z", utc(2017, 1, 1), utc(2017, 1, 1, 0, 0, 1)),
        ("2016-12-31T23:59:60.5Z", utc(2017, 1, 1), utc(2017, 1, 1, 0, 0, 1)),
        ("2017-01-01T00:59:60+01:00", utc(2017, 1, 1), utc(2017, 1, 1, 0, 0, 1)),
        ("0001", utc(1, 1, 1), utc(2, 1, 1)),
        ("9999", utc(9999, 1, 1), LAST),
        ("9999-12", utc(9999, 12, 1), LAST),
        ("9999-12-31", utc(9999, 12, 31), LAST),
        ("9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59), LAST),
    ],
)
def test_a_date_covers_the_time_that_it_leaves_open(text: str, begin: datetime, end: datetime) -> None:
    assert span(text) == (begin, end)


@pytest.mark.parametrize(
    "text",
    [
        "", "26", "20x6", "0000", "2026-13", "2026-02-30", "2026-1", "20260302", "2026-W10-1", "2026-03-02T10Z",
        "2026-03-02T10:20:00", "2026-03-02T10:60:60Z", "2026-03-02T25:00:00Z", "2026-03-02 10:20:00Z", "2026-03-02Z",
        "2026-03-02T10:20:00,5Z", "2026-03-02T10:20:61Z", "2026-03-02T10:20:00.Z", " 2026", "2026\n", "+026",
        "2026-03-02T10:20:00+01", "2026-03-02T10:20:00+25:00",
    ],
)  # fmt: skip
def test_what_is_no_date_covers_nothing(text: str) -> None:
    with pytest.raises(ValueError):
        span(text)


@given(
    st.timedeltas(timedelta(days=1), datetime(9999, 12, 30, tzinfo=UTC) - FIRST),
    st.integers(-14 * 60, 14 * 60),
    st.integers(0, 9),
)
def test_a_date_covers_the_moment_it_was_written_from(since: timedelta, offset: int, digits: int) -> None:
    local = (FIRST + since).astimezone(timezone(timedelta(minutes=offset)))
    fraction = f"{local:%f}000"[:digits]
    zone = "Z" if offset == 0 else f"{'-+'[offset > 0]}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    seconds = f"{local.year:04d}-{local:%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}{zone}"
    begin, end = span(seconds)
    assert begin <= local < end
    assert end - begin == timedelta(microseconds=max(1, 10 ** (6 - digits)))
    year, month, day = (span(f"{local.year:04d}-{local:%m-%d}"[:length]) for length in (4, 7, 10))
    assert year[0] <= month[0] <= day[0] < day[1] <= month[1] <= year[1]
