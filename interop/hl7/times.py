"""HL7 times: TS and DTM, `YYYY[MM[DD[HH[MM[SS[.S...]]]]]][+/-ZZZZ]` (HL7 v2.5.1 chapter 2.A.22, 2.A.77)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

import hl7

_TIME = re.compile(r"(?P<local>\d{4}(?:\d{2}){0,5}(?:\.\d{1,6})?)(?P<offset>[+-]\d{4})?")
_SECONDS_DIGITS = 14  # a fraction may follow only whole seconds
_DATE_DIGITS = 8
_WITHOUT_MARKS = str.maketrans("", "", "-:T")


@dataclass(frozen=True, slots=True)
class ReadTime:
    """A time of a message. at: UTC. has_zone: whether it named its offset. has_clock: False for a date alone, which
    is then read as the start of that day."""

    at: datetime
    has_zone: bool
    has_clock: bool


def offset_of(text: str) -> timezone | None:
    """The offset that a time names; None when it names none or is no time."""
    match = _TIME.fullmatch(text)
    if match is None or match["offset"] is None:
        return None
    sign, hours, minutes = match["offset"][0], int(match["offset"][1:3]), int(match["offset"][3:])
    if hours > 14 or minutes > 59:  # the largest offset in use is +14:00
        return None
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1))


def read_time(text: str, zone: tzinfo) -> ReadTime | None:
    """Read a time; `zone` counts where it has no offset. None when it is empty, malformed or not precise to the day."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    digits = match["local"].partition(".")[0]
    if len(digits) < _DATE_DIGITS or ("." in match["local"] and len(digits) != _SECONDS_DIGITS):
        return None
    offset = offset_of(text)
    if match["offset"] and offset is None:
        return None
    try:
        local: datetime = hl7.parse_datetime(match["local"])
        at = local.replace(tzinfo=offset or zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return ReadTime(at, has_zone=offset is not None, has_clock=len(digits) > _DATE_DIGITS)


def birth_date(text: str) -> str | None:
    """The FHIR date (`YYYY`, `YYYY-MM` or `YYYY-MM-DD`) of PID-7, whose time of day does not matter; None when it is
    no date."""
    match = re.match(r"(\d{4})(?:(\d{2})(\d{2})?)?", text)
    if match is None:
        return None
    parts = [part for part in match.groups() if part]
    try:
        date(*(int(part) for part in (*parts, "01", "01")[:3]))
    except ValueError:
        return None
    return "-".join(parts)


def write_time(at: datetime) -> str:
    """A time with milliseconds and offset, for our messages. at: aware."""
    # Every acknowledgement bears one, and isoformat takes a fifth of the time of strftime.
    local = at.isoformat(timespec="milliseconds")[:23].translate(_WITHOUT_MARKS)
    return local + ("+0000" if at.tzinfo is UTC else at.strftime("%z"))
