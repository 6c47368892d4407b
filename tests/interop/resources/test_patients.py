from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.recording import Sex
from interop.resources.patients import demographics, latest_birth_date
from tests.fakes import NOW


def test_nobody_is_known_without_a_patient() -> None:
    assert demographics(None, NOW) == demographics({"resourceType": "Patient"}, NOW)
    assert demographics(None, NOW).sex is Sex.UNKNOWN


@pytest.mark.parametrize(("born", "age"), [("1966-03-02", 60.0), ("2026-03-01", 0.0), ("2026-03-02", 0.0)])
def test_age_is_that_at_the_recording(born: str, age: float) -> None:
    assert demographics({"birthDate": born}, NOW).age == pytest.approx(age, abs=0.01)


def test_a_birth_year_counts_from_its_middle_and_says_so() -> None:
    person = demographics({"birthDate": "1966", "gender": "male"}, NOW)
    assert person.age == pytest.approx(59.67, abs=0.01)
    assert person.sex is Sex.MALE
    assert person.notes == ("Only the year of birth is known.",)


def test_the_age_at_an_undated_recording_is_unknown() -> None:
    assert demographics({"birthDate": "1966-03-02"}, None).age is None


@pytest.mark.parametrize("born", ["1850-01-01", "2027-01-01"])
def test_a_birth_date_that_does_not_fit_is_left_out_with_a_note(born: str) -> None:
    person = demographics({"birthDate": born}, NOW)
    assert person.age is None
    assert "does not fit" in person.notes[0]


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        ("2008-03-03", "2026-03-02T09:30:00+00:00", 17 + 364 / 365),
        ("2008-03-02", "2026-03-02T00:00:00+00:00", 18.0),
        ("2008-02-29", "2026-02-28T12:00:00+00:00", 17 + 364 / 365),
        ("2008-02-29", "2026-03-01T12:00:00+00:00", 18.0),
    ],
)
def test_a_year_is_complete_on_the_birthday_and_not_before(born: str, on: str, age: float) -> None:
    assert demographics({"birthDate": born}, datetime.fromisoformat(on)).age == pytest.approx(age, abs=1e-9)


@given(st.floats(0, 110), st.integers(0, 25_000))
def test_the_latest_birth_date_gives_the_age_back_to_the_day(age: float, days_ago: int) -> None:
    at = NOW - timedelta(days=days_ago)
    born = latest_birth_date(age, at)
    found = demographics({"birthDate": born.isoformat()}, at).age
    assert found is not None
    assert age <= found < age + 2 / 365
    assert born <= at.date()


def test_a_whole_age_gives_the_birthday_itself() -> None:
    assert latest_birth_date(74.0, NOW) == date(1952, 3, 2)
