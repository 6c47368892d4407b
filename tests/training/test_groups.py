import numpy as np

from inference.labels import Superclass
from inference.recording import Sex
from training.groups import enough, group_score, members

THRESHOLDS = dict.fromkeys(Superclass, 0.5)


def test_everyone_of_known_age_is_in_one_age_group_and_the_bounds_belong_to_the_older() -> None:
    ages = [17.0, 39.9, 40.0, 59.0, 60.0, 79.9, 80.0, 101.0, None]
    groups = members([Sex.FEMALE] * 9, ages)["age"]
    found = [[name for name, mask in groups.items() if mask[i]] for i in range(9)]
    expected = ["under 40", "under 40", "40 to 59", "40 to 59", "60 to 79", "60 to 79", "80 and over", "80 and over"]
    assert found == [[name] for name in expected] + [[]]


def test_an_unknown_sex_is_in_no_group() -> None:
    groups = members([Sex.FEMALE, Sex.MALE, Sex.OTHER, Sex.UNKNOWN], [50.0] * 4)["sex"]
    assert [int(mask.sum()) for mask in groups.values()] == [1, 1]


def test_twenty_recordings_with_five_of_each_kind_are_enough_and_no_fewer() -> None:
    def truth(positives: int, negatives: int, unknown: int = 0) -> np.ndarray:
        return np.repeat([1.0, 0.0, np.nan], [positives, negatives, unknown])

    assert enough(truth(5, 15))
    assert enough(truth(15, 5))
    assert not enough(truth(4, 16))
    assert not enough(truth(16, 4))
    assert not enough(truth(10, 9, 10))


def test_a_class_that_cannot_be_judged_takes_the_macro_auc_away_but_not_the_other_classes() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 5)) < 0.4).astype(np.float32)
    labels[:, 4] = 0
    found = group_score(labels, rng.random((60, 5)).astype(np.float32), THRESHOLDS)
    assert (found.macro_auc, found.judgement) == (None, "too few to judge")
    assert found.classes[Superclass.HYP].sensitivity is None
    assert found.classes[Superclass.NORM].auc is not None
