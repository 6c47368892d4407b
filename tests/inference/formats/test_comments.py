import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.formats.comments import person
from inference.recording import MAX_AGE, Sex


@pytest.mark.parametrize(
    ("comments", "age", "sex"),
    [
        (["Age: 84", "Sex: Female"], 84, Sex.FEMALE),
        (["age: 61.5", "sex: male", "Dx: 426783006"], 61.5, Sex.MALE),
        (["<age>: 69  <sex>: F"], 69, Sex.FEMALE),
        (["Age: NaN", "Sex: Unknown"], None, Sex.UNKNOWN),
        (["Gender: M"], None, Sex.MALE),
        (["Dosage: 5", "page: 3"], None, Sex.UNKNOWN),
        ([], None, Sex.UNKNOWN),
    ],
)
def test_age_and_sex_are_found_as_data_sets_write_them(comments: list[str], age: float | None, sex: Sex) -> None:
    found = person(comments)
    assert (found.age, found.sex, found.notes) == (age, sex, ())


def test_an_impossible_age_is_unknown_and_noted() -> None:
    found = person(["Age: 300"])
    assert found.age is None
    assert "300" in found.notes[0]


@given(st.lists(st.text()))
def test_any_comments_give_a_person_that_a_recording_accepts(comments: list[str]) -> None:
    found = person(comments)
    assert found.age is None or 0 <= found.age <= MAX_AGE
