"""Round numbers and days beside the plots."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.monitoring.axis import axis, days
from interop.monitoring.trends import Figure, Limit, Line, Point, Trend, Unit

END = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def trend(unit: Unit, *figures: Figure, limit: Limit | None = None) -> Trend:
    points = tuple(Point(END - timedelta(days=i), figure) for i, figure in enumerate(figures))
    return Trend(id="t", title="T", about="A.", unit=unit, lines=(Line("a", points),), limit=limit)


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        (Unit.SHARE, 0.23, ["0%", "10%", "20%", "30%"]),
        (Unit.SHARE, 0.021, ["0%", "1%", "2%", "3%"]),
        (Unit.SHARE, 1.0, ["0%", "25%", "50%", "75%", "100%"]),
        (Unit.RATIO, 0.4, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        (Unit.AUC, 0.95, ["0.900", "0.925", "0.950", "0.975", "1.000"]),
        (Unit.AUC, 0.62, ["0.6", "0.7", "0.8", "0.9", "1.0"]),
        (Unit.MILLISECONDS, 37.0, ["0", "10", "20", "30", "40"]),
        (Unit.COUNT, 3.0, ["0", "1", "2", "3"]),
        (Unit.COUNT, 5200.0, ["0", "2,000", "4,000", "6,000"]),
        (Unit.CHANCE, 0.3, ["1e-06", "0.0001", "0.01", "1"]),
    ],
)
def test_an_axis_has_a_few_round_numbers(unit: Unit, value: float, words: list[str]) -> None:
    assert [written for _, written in axis(trend(unit, Figure(value))).ticks] == words


@given(
    unit=st.sampled_from(list(Unit)),
    values=st.lists(st.floats(0, 1), max_size=6),
    limit=st.none() | st.floats(0, 1),
    scale=st.sampled_from([1.0, 1e-4, 250.0, 1e7]),
)
def test_everything_is_on_the_axis_and_the_axis_is_short(
    unit: Unit, values: list[float], limit: float | None, scale: float
) -> None:
    factor = scale if unit in (Unit.MILLISECONDS, Unit.COUNT) else 1.0
    figures = [Figure(v * factor, v * factor * 0.9, min(v * factor * 1.1, unit.most)) for v in values]
    made = axis(trend(unit, *figures, limit=None if limit is None else Limit(limit * factor, "needed")))
    assert 2 <= len(made.ticks) <= 8
    assert len({words for _, words in made.ticks}) == len(made.ticks)
    if unit is not Unit.CHANCE:
        assert all(made.low <= f.value <= made.high * (1 + 1e-9) for f in figures)
    places = [made.place(value) for value, _ in made.ticks]
    assert places == sorted(places)
    assert places[0] == 0


@given(st.sampled_from(list(Unit)), st.lists(st.floats(-1e12, 1e12), max_size=4))
def test_impossible_figures_are_drawn_at_the_edge(unit: Unit, values: list[float]) -> None:
    made = axis(trend(unit, *map(Figure, values)))
    assert all(0 <= made.place(value) <= 1 for value in values)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, ["2 Mar"]),
        (7, ["24 Feb", "26 Feb", "28 Feb", "2 Mar"]),
        (30, ["2 Feb", "9 Feb", "16 Feb", "23 Feb", "2 Mar"]),
        (90, ["1 Jan", "1 Feb", "1 Mar"]),
        (365, ["Apr 2025", "Jul 2025", "Oct 2025", "Jan 2026"]),
        (1500, ["Jan 2023", "Jan 2024", "Jan 2025", "Jan 2026"]),
    ],
)
def test_days_are_a_handful(number: int, words: list[str]) -> None:
    found = days(END - timedelta(days=number), END)
    assert [written for _, written in found] == words
    assert all(END - timedelta(days=number) <= at <= END for at, _ in found)


@given(st.integers(1, 3660))
def test_any_time_has_days_that_do_not_crowd(number: int) -> None:
    assert 1 <= len(days(END - timedelta(days=number), END)) <= 11
