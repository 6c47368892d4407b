from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.recency import MAX_CLOCK_SKEW, judge_recency
from tests.fakes import NOW

DAY = timedelta(hours=24)


def test_younger_than_the_window_is_acute_and_exactly_as_old_is_not() -> None:
    inside = judge_recency(NOW - DAY + timedelta(seconds=1), NOW, DAY)
    outside = judge_recency(NOW - DAY, NOW, DAY)
    assert (inside.acute, inside.archived) == (True, False)
    assert (outside.acute, outside.archived) == (False, True)


def test_the_window_is_an_argument() -> None:
    assert not judge_recency(NOW - timedelta(hours=2), NOW, timedelta(hours=1)).acute


def test_an_undated_recording_is_neither_acute_nor_archived() -> None:
    recency = judge_recency(None, NOW, DAY)
    assert (recency.acute, recency.archived, recency.recorded_at) == (False, False, None)
    assert recency.text == "The recording is undated."


def test_a_clock_that_is_slightly_ahead_is_forgiven() -> None:
    recency = judge_recency(NOW + MAX_CLOCK_SKEW, NOW, DAY)
    assert recency.acute
    assert recency.warning is None
    assert recency.text == "Recorded 0 minutes ago."


def test_a_recording_from_the_future_is_undated_with_a_warning_that_keeps_its_time() -> None:
    recency = judge_recency(NOW + MAX_CLOCK_SKEW + timedelta(seconds=1), NOW, DAY)
    assert (recency.acute, recency.recorded_at) == (False, None)
    assert recency.warning == (
        "The recording time 2026-03-02T09:35:01+00:00 lies in the future: the recording counts as undated."
    )


@pytest.mark.parametrize("sentinel", ["0001-01-01T00:00:00+14:00", "1900-01-01T00:00:00Z"])
def test_a_date_that_stands_for_no_date_is_undated_with_a_warning(sentinel: str) -> None:
    recency = judge_recency(datetime.fromisoformat(sentinel), NOW, DAY)
    assert recency.recorded_at is None
    assert recency.warning is not None
    assert "cannot be true" in recency.warning


def test_times_are_kept_in_utc() -> None:
    local = datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=1)))
    assert str(judge_recency(local, NOW, DAY).recorded_at) == "2026-03-02 09:00:00+00:00"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(minutes=1, seconds=59), "Recorded 1 minute ago."),
        (timedelta(minutes=119), "Recorded 119 minutes ago."),
        (timedelta(hours=47, minutes=59), "Recorded 47 hours ago."),
        (timedelta(days=3), "Recorded 3 days ago."),
        (timedelta(days=730), "Recorded 2 years ago."),
    ],
)
def test_the_age_is_told_in_the_unit_that_reads_best(age: timedelta, text: str) -> None:
    assert judge_recency(NOW - age, NOW, DAY).text == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_has_a_place(recorded_at: datetime) -> None:
    recency = judge_recency(recorded_at, NOW, DAY)
    assert not (recency.acute and recency.archived)
    assert (recency.recorded_at is None) == (recency.warning is not None)
