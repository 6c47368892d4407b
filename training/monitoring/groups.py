"""Groups of patients in live results: the same as those of a model's card (`training.groups`, which needs torch)."""

from inference.recording import Sex

MIN_GROUP = 20
MIN_POSITIVES = 5  # and as many negatives, where a superclass is judged in a group

UNKNOWN = "unknown"
AGE_GROUPS = {  # years, the upper bound excluded
    "under 40": (0.0, 40.0),
    "40 to 59": (40.0, 60.0),
    "60 to 79": (60.0, 80.0),
    "80 and over": (80.0, float("inf")),
}
ALWAYS_LISTED = {"sex": (Sex.FEMALE.value, Sex.MALE.value), "age": tuple(AGE_GROUPS)}


def age_group(age: float | None) -> str:
    """The group of an age in years; `unknown` where it is not known, or no age."""
    if age is None:
        return UNKNOWN
    return next((name for name, (low, high) in AGE_GROUPS.items() if low <= age < high), UNKNOWN)


def groups_of(sex: str, age: float | None) -> dict[str, str]:
    """Attribute -> the group that somebody belongs to."""
    return {"sex": sex, "age": age_group(age)}
