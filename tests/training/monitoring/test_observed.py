from datetime import UTC, datetime, timedelta

import pytest

from tests.training.monitoring.seen import NOW
from training.monitoring.observed import Window


def test_a_window_is_the_days_before_a_time() -> None:
    window = Window.before(NOW, 1.5)
    assert (window.begin, window.end) == (datetime(2026, 2, 28, 21, 30, tzinfo=UTC), NOW)
    assert window.to_json() == {"begin": "2026-02-28T21:30:00+00:00", "end": "2026-03-02T09:30:00+00:00", "days": 1.5}


@pytest.mark.parametrize("days", [0, -1])
def test_a_window_without_time_is_none(days: float) -> None:
    with pytest.raises(ValueError, match="no time lies between"):
        Window.before(NOW, days)


def test_a_trend_goes_by_weeks_that_begin_on_monday_and_in_a_long_window_by_months() -> None:
    sunday = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    short, long = Window.before(NOW, 92), Window.before(NOW, 93)
    assert (short.step, short.step_of(sunday), short.step_of(NOW)) == ("week", "2026-02-23", "2026-03-02")
    assert (long.step, long.step_of(sunday), long.step_of(sunday - timedelta(days=1))) == (
        "month", "2026-03-01", "2026-02-01",
    )  # fmt: skip
