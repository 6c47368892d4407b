"""Where an axis begins and ends and what is written beside it: round numbers, powers of ten, and days."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from interop.monitoring.trends import SMALLEST, Trend, Unit

STEPS = (1, 2, 2.5, 5, 10)  # of round numbers, times a power of ten
PARTS = 4  # about so many steps on an axis
NARROWEST = 0.1  # of an axis that does not begin at 0: a change of a hundredth is none to be alarmed by

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from bottom to top. ticks: value and what is written beside it."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at the bottom, 1 at the top; what lies beyond is drawn at the edge."""
        low, high, at = (
            math.log10(max(v, SMALLEST)) if self.is_logarithmic else v for v in (self.low, self.high, value)
        )
        return min(max((at - low) / (high - low), 0.0), 1.0)


def axis(trend: Trend) -> Axis:
    """So that every figure of a trend, its interval and its limit are on it."""
    if trend.unit is Unit.CHANCE:
        return _logarithmic()
    values = list(_values(trend)) or [0.0]
    if trend.unit is Unit.RATIO:
        return _round(0.0, max(1.0, *values), trend.unit)
    if trend.unit is Unit.AUC:
        return _round(max(0.0, min(min(values), 1.0 - NARROWEST)), 1.0, trend.unit)
    return _round(0.0, max(0.0, *values), trend.unit)


def _values(trend: Trend) -> Iterator[float]:
    figures = (point.figure for line in trend.lines for point in line.points if point.figure)
    for figure in figures:
        yield from (v for v in (figure.value, figure.low, figure.high) if v is not None)
    if trend.limit:
        yield trend.limit.value


def _logarithmic() -> Axis:
    ticks = tuple((10.0**power, f"{10.0**power:g}") for power in range(-6, 1, 2))
    return Axis(SMALLEST, 1.0, ticks, is_logarithmic=True)


def _round(low: float, high: float, unit: Unit) -> Axis:
    step = _step((high - low) / PARTS or 1.0 / PARTS)
    first, last = math.floor(low / step + 1e-9), max(math.ceil(high / step - 1e-9), 1)
    last = min(last, math.floor(unit.most / step + 1e-9)) if math.isfinite(unit.most) else last
    values = [number * step for number in range(first, last + 1)]
    return Axis(values[0], max(values[-1], high), tuple((value, _written(value, step, unit)) for value in values))


def _step(least: float) -> float:
    """The smallest round number that is not smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-9))


def _written(value: float, step: float, unit: Unit) -> str:
    shown = 100 * step if unit is Unit.SHARE else step
    places = max(
        0, -math.floor(math.log10(shown) + 1e-9) + (round(shown / 10 ** math.floor(math.log10(shown)), 6) == 2.5)
    )
    return f"{value:.{places}%}" if unit is Unit.SHARE else f"{value:,.{places}f}"


def days(begin: datetime, end: datetime) -> Sequence[tuple[datetime, str]]:
    """Days between two times, and how each is written: a handful."""
    span = (end - begin) / DAY
    if span <= 45:
        step = 1 if span <= 5 else 2 if span <= 10 else 7 if span <= 30 else 14
        last = end.replace(hour=0, minute=0, second=0, microsecond=0)
        found = [last - DAY * step * number for number in range(math.floor(span / step) + 1)]
        return [(at, f"{at.day} {at:%b}") for at in reversed(found) if at >= begin]
    months = 1 if span <= 130 else 3 if span <= 500 else 12
    return [(at, f"{at.day} {at:%b}" if months == 1 else f"{at:%b %Y}") for at in _firsts(begin, end, months)]


def _firsts(begin: datetime, end: datetime, months: int) -> Iterator[datetime]:
    """The first of every so many months, those of January among them."""
    number = begin.year * 12 + begin.month  # of the month after the first, counted from 0
    while (at := datetime(number // 12, number % 12 + 1, 1, tzinfo=end.tzinfo)) <= end:
        if number % months == 0:
            yield at
        number += 1
