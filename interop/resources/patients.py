"""What a Patient resource tells of the person at the time of the recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from inference.recording import MAX_AGE, Sex
from interop.resources.times import Precision, moment

DAYS_PER_YEAR = 365.2425
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Demographics:
    """age in years, None when unknown. notes: what a reader should know about them."""

    age: float | None = None
    sex: Sex = Sex.UNKNOWN
    notes: tuple[str, ...] = ()


def demographics(patient: Mapping[str, Any] | None, at: datetime | None) -> Demographics:
    """Age at the time `at` and administrative gender; unknown where there is no Patient, birth date or time."""
    if patient is None:
        return Demographics()
    sex = Sex(patient.get("gender", Sex.UNKNOWN))
    born = patient.get("birthDate")
    if born is None or at is None:
        return Demographics(None, sex)
    birth = moment(born)
    age = _age(birth.at.date(), at.date())
    if birth.precision is not Precision.DAY:
        note = f"Only the {birth.precision} of birth is known."
    else:
        note, age = "", max(age, 0.0) if age > -2 / DAYS_PER_YEAR else age
    if not 0 <= age <= MAX_AGE:
        return Demographics(None, sex, ("The birth date does not fit the recording; the age counts as unknown.",))
    return Demographics(age, sex, (note,) if note else ())


def latest_birth_date(age: float, at: datetime) -> date:
    """The latest day of birth that gives at least this age (years) at that time, where only the day is told."""
    day = at.date() - timedelta(days=round(age * DAYS_PER_YEAR))
    while _age(day, at.date()) < age:
        day -= A_DAY
    while _age(day + A_DAY, at.date()) >= age:
        day += A_DAY
    return day


def _age(born: date, on: date) -> float:
    """Years as people count them: one more on each birthday, and the share of days since the last one. (Days divided by
    365.2425 would be just short of 18 on some 18th birthdays, and 18 is a limit of intended use.)"""
    passed = on >= _birthday(born, on.year)
    last = _birthday(born, on.year if passed else on.year - 1)
    following = _birthday(born, last.year + 1)
    return last.year - born.year + (on - last).days / (following - last).days


def _birthday(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:  # 29 February
        return date(year, 3, 1)
