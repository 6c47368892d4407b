"""FHIR date, dateTime and instant <-> aware datetimes (FHIR R4 section 2.24.0.1).

A dateTime may stop at the year, the month or the day; with a time it has an offset.
"""

import calendar
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import NamedTuple

NOON = time(12, tzinfo=UTC)


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
