import pytest

from inference.recording import Sex
from interop.resources.patients import demographics
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
