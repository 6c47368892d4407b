"""Times as numbers, which both databases compare alike: microseconds since 1970 UTC, exact in a float until 2255."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> float:
    """An aware time as a number."""
    return float((at - EPOCH) // MICROSECOND)


def at_microseconds(number: float) -> datetime:
    """The aware time of a number; the first or last there is for one beyond them."""
    try:
        return EPOCH + timedelta(microseconds=number)
    except OverflowError:
        return FIRST if number < 0 else LAST
