"""How old a recording is, and what follows: only a recent one can ask for haste."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Devices and servers drift by minutes; a recording from further ahead has a wrong clock or a wrong zone.
MAX_CLOCK_SKEW = timedelta(minutes=5)

# 0001-01-01 and 1900-01-01 are what systems send for "no date"; no digital ECG is that old.
FIRST_YEAR = 1901

# A unit is used until there are so many of it that the next one reads better.
AGE_UNITS = (
    ("minute", timedelta(minutes=1), 120),
    ("hour", timedelta(hours=1), 48),
    ("day", timedelta(days=1), 730),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recency:
    """recorded_at: UTC, None when undated or when the date cannot be true. acute: inside the acute window. archived:
    dated and not inside it. text: the age in words. warning: set when a date was disregarded."""

    recorded_at: datetime | None
    acute: bool
    archived: bool
    text: str
    warning: str | None = None


def judge_recency(recorded_at: datetime | None, now: datetime, acute_window: timedelta) -> Recency:
    """Place a recording in time; `recorded_at` and `now` are aware. Younger than `acute_window` is acute."""
    if recorded_at is None:
        return Recency(recorded_at=None, acute=False, archived=False, text="The recording is undated.")
    age = now - recorded_at
    if age < -MAX_CLOCK_SKEW:
        return _disregarded(recorded_at, "lies in the future")
    if recorded_at.year < FIRST_YEAR:
        return _disregarded(recorded_at, "cannot be true")
    acute = age < acute_window
    return Recency(
        recorded_at=recorded_at.astimezone(UTC),
        acute=acute,
        archived=not acute,
        text=f"Recorded {_in_words(age)} ago.",
    )


def _disregarded(recorded_at: datetime, why: str) -> Recency:
    warning = f"The recording time {recorded_at.isoformat()} {why}: the recording counts as undated."
    return Recency(recorded_at=None, acute=False, archived=False, text="The recording is undated.", warning=warning)


def _in_words(age: timedelta) -> str:
    age = max(age, timedelta())
    for unit, length, most in AGE_UNITS:
        count = age // length
        if count < most:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{age.days // 365} years"
