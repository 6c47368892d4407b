from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.hl7.times import birth_date, offset_of, read_time, write_time

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_time_with_an_offset_keeps_it() -> None:
    read = read_time("20260302093000.250+0100", UTC)
    assert read is not None
    assert read.at == datetime(2026, 3, 2, 8, 30, 0, 250_000, tzinfo=UTC)
    assert read.has_zone
    assert read.has_clock


@pytest.mark.parametrize(("text", "hour"), [("20260302093000", 8), ("202607020930", 7)])
def test_a_time_without_an_offset_takes_the_given_zone_with_its_summer_time(text: str, hour: int) -> None:
    read = read_time(text, BERLIN)
    assert read is not None
    assert (read.at.hour, read.at.minute) == (hour, 30)
    assert not read.has_zone


def test_a_date_alone_is_the_start_of_its_day() -> None:
    read = read_time("20260302", UTC)
    assert read is not None
    assert read.at == datetime(2026, 3, 2, tzinfo=UTC)
    assert not read.has_clock


@pytest.mark.parametrize(
    "text", ["", "2026", "202603", "20261302", "20260230", "202603022500", "2026030209300061", "20260302+9900",
             "20260302T0930", "2026030209.5", "20260302093000+01", "20260302093000+1460", "x"]
)  # fmt: skip
def test_what_is_no_time_of_a_day_is_none(text: str) -> None:
    assert read_time(text, UTC) is None


def test_the_offset_alone_can_be_read() -> None:
    assert offset_of("20260302093000-0330") == timezone(-timedelta(hours=3, minutes=30))
    assert offset_of("20260302093000") is None


@pytest.mark.parametrize(
    ("text", "date"),
    [("19520301", "1952-03-01"), ("195203010715", "1952-03-01"), ("195203", "1952-03"), ("1952", "1952"),
     ("19521301", None), ("", None), ("unknown", None)],
)  # fmt: skip
def test_a_date_of_birth_is_read_as_far_as_it_goes(text: str, date: str | None) -> None:
    assert birth_date(text) == date


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-720, 840))  # noqa: DTZ001
def test_a_written_time_reads_back(naive: datetime, minutes: int) -> None:
    at = naive.replace(microsecond=naive.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(minutes=minutes)))
    read = read_time(write_time(at), UTC)
    assert read is not None
    assert read.at == at


@given(st.text(alphabet="0123456789.+-", max_size=24))
def test_any_text_is_a_time_or_none(text: str) -> None:
    read = read_time(text, BERLIN)
    assert read is None or read.at.tzinfo is UTC
