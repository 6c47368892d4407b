import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.recording import Sex
from training import groups as card
from training.monitoring import groups


def test_groups_and_limits_are_those_of_a_model_s_card() -> None:
    assert groups.AGE_GROUPS == card.AGE_GROUPS
    assert (groups.MIN_GROUP, groups.MIN_POSITIVES) == (card.MIN_GROUP, card.MIN_POSITIVES)
    assert {"sex": tuple(card.SEXES), "age": tuple(card.AGE_GROUPS)} == groups.ALWAYS_LISTED


@pytest.mark.parametrize(
    ("age", "expected"),
    [(None, "unknown"), (0, "under 40"), (39.99, "under 40"), (40, "40 to 59"), (60, "60 to 79"), (79.9, "60 to 79"),
     (80, "80 and over"), (130, "80 and over"), (-1, "unknown"), (float("nan"), "unknown")],
)  # fmt: skip
def test_an_age_belongs_to_one_group_or_is_unknown(age: float | None, expected: str) -> None:
    assert groups.age_group(age) == expected


@given(st.floats(0, 130), st.sampled_from(Sex))
def test_everybody_of_known_age_belongs_to_a_group_of_the_card(age: float, sex: Sex) -> None:
    mine = groups.groups_of(sex.value, age)
    masks = card.members([sex], [age])
    assert [name for name, mask in masks["age"].items() if mask[0]] == [mine["age"]]
    assert mine["sex"] == sex
