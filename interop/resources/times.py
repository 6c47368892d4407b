"""FHIR date, dateTime and instant <-> aware datetimes (FHIR R4 section 2.24.0.1).

A dateTime may stop at the year, the month or the day; with a time it has an offset.
"""

import calendar
import re
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

NOON = time(12, tzinfo=UTC)
MIDNIGHT = time(0, tzinfo=UTC)
LAST = datetime.combine(date.max, time.max, UTC)

# A second may be the sixtieth: a leap second, which no datetime has. It is taken for the one after it.
_WRITTEN = re.compile(
    r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:(?P<second>\d\d)(\.(?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
SECOND = timedelta(seconds=1)


class Precision(StrEnum):
    """How far a dateTime goes."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    TIME = "time"


_BY_LENGTH = {4: Precision.YEAR, 7: Precision.MONTH, 10: Precision.DAY}


class Moment(NamedTuple):
    """A dateTime with its precision. `at` lies in the middle of the year, month or day when the text goes no further:
    the middle is off by the least, whichever the zone."""

    at: datetime
    precision: Precision


def moment(text: str) -> Moment:
    """Read a FHIR dateTime, instant or date. Raises ValueError for anything else, and for a time without offset."""
    precision = _BY_LENGTH.get(len(text), Precision.TIME)
    if precision is Precision.TIME:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("a dateTime with a time needs an offset")
        return Moment(at, precision)
    return Moment(datetime.combine(_middle(text, precision), NOON), precision)


def span(text: str) -> tuple[datetime, datetime]:
    """The time that a FHIR dateTime, instant or date covers, from its beginning to before its end: a year, a month, a
    day (of UTC where no zone is stated), or as long as its last digit says; a minute where it has no seconds, as a
    search may write it. Raises ValueError like `moment`."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError("no date, dateTime or instant")
    precision = _BY_LENGTH.get(len(text), Precision.TIME)
    if precision is Precision.TIME:
        return _of_clock(text, written)
    begin = datetime.combine(_first(text, precision), MIDNIGHT)
    if precision is Precision.DAY:
        return _until(begin, timedelta(days=1))
    months = 12 if precision is Precision.YEAR else 1
    year, month = begin.year + (begin.month - 1 + months) // 12, (begin.month - 1 + months) % 12 + 1
    return begin, begin.replace(year=year, month=month) if year <= MAXYEAR else LAST


def _of_clock(text: str, written: re.Match[str]) -> tuple[datetime, datetime]:
    second, fraction = written["second"], written["fraction"]
    if second == "60":
        begin, end = _until(datetime.fromisoformat(f"{text[: written.start('second')]}59{written['zone']}"), SECOND)
        return _until(end, end - begin)
    length = timedelta(microseconds=_digit(fraction)) if fraction else SECOND if second else timedelta(minutes=1)
    return _until(datetime.fromisoformat(text), length)


def _until(begin: datetime, length: timedelta) -> tuple[datetime, datetime]:
    try:
        return begin, begin + length
    except OverflowError:
        return begin, LAST


def _digit(fraction: str) -> int:
    """What the last digit of a fraction of a second stands for, in microseconds."""
    return max(1, 10 ** (6 - len(fraction)) if len(fraction) < 6 else 1)


def _first(text: str, precision: Precision) -> date:
    missing = {Precision.YEAR: "-01-01", Precision.MONTH: "-01", Precision.DAY: ""}
    return date.fromisoformat(text + missing[precision])


def _middle(text: str, precision: Precision) -> date:
    if precision is Precision.YEAR:
        return date(int(text), 7, 1)
    if precision is Precision.MONTH:
        year, month = int(text[:4]), int(text[5:])
        return date(year, month, calendar.monthrange(year, month)[1] // 2)
    return date.fromisoformat(text)


def instant(at: datetime) -> str:
    """An aware time as a FHIR instant in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
