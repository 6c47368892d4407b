"""Groups of patients, by sex and by age, and when there are too few of them to be judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.labels import Superclass
from inference.recording import Sex
from training.bootstrap import Interval, bootstrap
from training.ranking import auc
from training.scores import COLUMNS, Labels, Probabilities, decision_statistics, macro_auc_statistic

# Below this a group's figures say more about the draw than about the model.
MIN_GROUP = 20
MIN_POSITIVES = 5  # of a superclass, and as many negatives

TOO_FEW = "too few to judge"
JUDGED = "judged"

SEXES = (Sex.FEMALE, Sex.MALE)
AGE_GROUPS = {  # years, the upper bound excluded
    "under 40": (0.0, 40.0),
    "40 to 59": (40.0, 60.0),
    "60 to 79": (60.0, 80.0),
    "80 and over": (80.0, np.inf),
}

Members = Mapping[str, Mapping[str, NDArray[np.bool_]]]  # `sex` and `age` -> group -> (recordings,)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupClass:
    """One superclass in one group. The scores are None where there are too few of either kind."""

    positives: int
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """One group of patients. macro_auc is None unless every superclass can be judged."""

    recordings: int
    macro_auc: Interval | None
    classes: Mapping[Superclass, GroupClass]

    @property
    def judgement(self) -> str:
        """`judged`, or that there are too few."""
        return TOO_FEW if self.macro_auc is None else JUDGED


def members(sex: Sequence[Sex], age: Sequence[float | None]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Who belongs where; an unknown sex or age belongs nowhere."""
    years = np.array([np.nan if a is None else a for a in age], np.float64)
    return {
        "sex": {each.value: np.array([s is each for s in sex], bool) for each in SEXES},
        "age": {name: (years >= low) & (years < high) for name, (low, high) in AGE_GROUPS.items()},
    }


def group_score(
    labels: Labels,
    probabilities: Probabilities,
    thresholds: Mapping[Superclass, float],
    patients: Sequence[str] | None = None,
) -> GroupScore:
    """The scores of the recordings of one group."""
    classes = {
        c: _group_class(labels[:, column], probabilities[:, column], thresholds[c], patients)
        for c, column in COLUMNS.items()
    }
    judged = all(score.auc is not None for score in classes.values())
    return GroupScore(
        recordings=len(labels),
        macro_auc=bootstrap(macro_auc_statistic(labels, probabilities), len(labels), patients) if judged else None,
        classes=classes,
    )


def enough(truth: NDArray[np.floating]) -> bool:
    """Whether a group is large enough to judge a class in, unknown labels left out."""
    known = int((~np.isnan(truth)).sum())
    positives = int((truth == 1).sum())
    return known >= MIN_GROUP and min(positives, known - positives) >= MIN_POSITIVES


def _group_class(
    truth: NDArray[np.float32], probability: NDArray[np.float32], threshold: float, patients: Sequence[str] | None
) -> GroupClass:
    statistics = {"auc": auc(truth, probability), **decision_statistics(truth, probability >= threshold)}
    judged = enough(truth)
    scores = {
        name: bootstrap(statistics[name], len(truth), patients) if judged else None
        for name in ("auc", "sensitivity", "specificity")
    }
    return GroupClass(positives=int((truth == 1).sum()), **scores)
