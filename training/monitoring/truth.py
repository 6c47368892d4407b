"""Live results beside what clinicians made of them, as arrays: the ground truth of monitoring.

Who is over-read is no random draw: what looks abnormal is read first. Figures are of those who were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from inference.labels import Superclass
from training.bootstrap import Interval, bootstrap, mean_of
from training.monitoring.groups import MIN_GROUP, MIN_POSITIVES
from training.monitoring.observed import LIVE, AnalysisSeen, OverreadSeen
from training.ranking import auc

Column = NDArray[np.float64]  # (results,)

COLUMNS = {superclass: column for column, superclass in enumerate(Superclass)}


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One row per result. rows: the analyses with their over-reads. labels, probabilities, thresholds: (n, 5), NaN
    where unknown. left_out: reason -> over-reads that could not enter."""

    rows: Sequence[tuple[AnalysisSeen, OverreadSeen]]
    labels: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: Sequence[int]) -> "Truth":
        """These rows."""
        places = list(chosen)
        return Truth(
            [self.rows[i] for i in places],
            self.labels[places],
            self.probabilities[places],
            self.thresholds[places],
            self.left_out,
        )

    def column(self, superclass: Superclass) -> tuple[Column, Column, Column]:
        """labels, probabilities and thresholds of one superclass."""
        place = COLUMNS[superclass]
        return self.labels[:, place], self.probabilities[:, place], self.thresholds[:, place]


def gather(pairs: Iterable[tuple[AnalysisSeen, OverreadSeen]]) -> Truth:
    """The live results that were classified."""
    known = list(pairs)
    live = [(row, overread) for row, overread in known if row.mode == LIVE]
    rows = [(row, overread) for row, overread in live if row.probabilities is not None]
    return Truth(
        rows=rows,
        labels=as_table([labels_of(overread) for _, overread in rows]),
        probabilities=as_table([row.probabilities or {} for row, _ in rows]),
        thresholds=as_table([thresholds(row.detail) for row, _ in rows]),
        left_out={"silent": len(known) - len(live), "not interpretable": len(live) - len(rows)},
    )


def thresholds(detail: bytes) -> Mapping[str, float]:
    """By superclass; empty where the analysis does not tell."""
    prediction = read_detail(detail).get("prediction") or {}
    found: Mapping[str, float] = prediction.get("thresholds") or {}
    return found


def read_detail(detail: bytes) -> Mapping[str, Any]:
    """The analysis as JSON."""
    found: Mapping[str, Any] = orjson.loads(detail)
    return found


def enough(labels: Column) -> bool:
    """Whether a superclass can be judged; unknown labels are left out."""
    known = int((~np.isnan(labels)).sum())
    positives = int((labels == 1).sum())
    return known >= MIN_GROUP and min(positives, known - positives) >= MIN_POSITIVES


def class_auc(labels: Column, probabilities: Column) -> Interval | None:
    """With its bootstrap interval; None where there are too few."""
    return bootstrap(auc(labels, probabilities), len(labels)) if enough(labels) else None


def macro_auc(truth: Truth) -> Interval | None:
    """The mean over the superclasses, which all have to be judged."""
    columns = [truth.column(superclass)[:2] for superclass in Superclass]
    if not all(enough(labels) for labels, _ in columns):
        return None
    return bootstrap(mean_of([auc(labels, probabilities) for labels, probabilities in columns]), len(truth))


def confusion(labels: Column, probabilities: Column, limits: Column) -> dict[str, tuple[int, int]]:
    """sensitivity and specificity as (right, of), of results whose label and threshold are known."""
    known = ~np.isnan(limits)
    decided = known & (probabilities >= np.nan_to_num(limits))
    positive, negative = known & (labels == 1), known & (labels == 0)
    return {
        "sensitivity": (int((decided & positive).sum()), int(positive.sum())),
        "specificity": (int((~decided & negative).sum()), int(negative.sum())),
    }


def labels_of(overread: OverreadSeen) -> dict[str, float]:
    """1 or 0 of each superclass that something was said of."""
    return {name: float(found) for name, found in overread.findings.items() if found is not None}


def as_table(rows: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """(rows, 5), NaN where a row has nothing."""
    values = [[row.get(superclass.value, np.nan) for superclass in Superclass] for row in rows]
    return np.array(values, np.float64).reshape(-1, len(COLUMNS))
