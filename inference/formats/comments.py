"""Age and sex from the free comments that data sets put beside a signal.

There is no standard for them. Seen: `Age: 84` and `Sex: Female` (Chapman-Shaoxing, PTB), `<age>: 69 <sex>: F` (MIT).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from inference.recording import MAX_AGE, Sex

_AGE = re.compile(r"\bage\b>?\s*[:=]\s*(\d{1,4}(?:\.\d+)?)\b", re.IGNORECASE)
_SEX = re.compile(r"\b(?:sex|gender)\b>?\s*[:=]\s*([a-z]+)\b", re.IGNORECASE)

_SEXES = {
    "f": Sex.FEMALE,
    "female": Sex.FEMALE,
    "m": Sex.MALE,
    "male": Sex.MALE,
    "other": Sex.OTHER,
}


@dataclass(frozen=True, slots=True)
class Person:
    """age: years or None. notes: what could not be used."""

    age: float | None
    sex: Sex
    notes: tuple[str, ...]


def person(comments: Iterable[str]) -> Person:
    """Age and sex as far as the comments tell; the first statement of each counts."""
    text = "\n".join(comments)
    stated, sex = _AGE.search(text), _SEX.search(text)
    age = float(stated[1]) if stated else None
    notes: tuple[str, ...] = ()
    if age is not None and age > MAX_AGE:
        # PTB-XL stores 300 for everybody over 89; anything above human age means "not stated".
        notes, age = (f"The stated age of {age:g} was not used.",), None
    return Person(age, _SEXES.get(sex[1].lower(), Sex.UNKNOWN) if sex else Sex.UNKNOWN, notes)
