"""What a Patient resource tells of the person at the time of the recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from inference.recording import MAX_AGE, Sex
from interop.resources.times import Precision, moment

DAYS_PER_YEAR = 365.2425


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
    age = (at - birth.at).total_seconds() / 86_400 / DAYS_PER_YEAR
    if birth.precision is not Precision.DAY:
        note = f"Only the {birth.precision} of birth is known."
    else:
        note, age = "", max(age, 0.0) if age > -2 / DAYS_PER_YEAR else age
    if not 0 <= age <= MAX_AGE:
        return Demographics(None, sex, ("The birth date does not fit the recording; the age counts as unknown.",))
    return Demographics(age, sex, (note,) if note else ())


def latest_birth_date(age: float, at: datetime) -> date:
    """The latest day of birth that gives at least this age (years) at that time, where only the day is told: a day of
    birth counts from its noon (UTC)."""
    return (at.astimezone(UTC) - timedelta(days=age * DAYS_PER_YEAR, hours=12)).date()
