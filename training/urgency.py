"""How urgent the service would call a recording: the rules as served, on given probabilities.

Rules also look at heart rate, QTc, signal quality and age, so that the urgent rate is no function of the probabilities
alone. Recordings are judged as if just made: their age in a data set says nothing of the patient who comes in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actions.analysis import Urgency
from actions.conclusion import Evidence
from actions.intended_use import outside_intended_use
from actions.mapping import interpret
from actions.recency import Recency
from actions.rules import Policy
from inference.beats import find_beats
from inference.labels import Superclass
from inference.measurements import Measurements, measure
from inference.prediction import ModelInfo, ModelStatus, Prediction
from inference.quality import QualityReport, assess
from inference.recording import Recording, Sex
from training.scores import COLUMNS, Labels, Probabilities

HASTE = frozenset({Urgency.IMMEDIATE, Urgency.URGENT})

JUST_MADE = Recency(recorded_at=None, acute=True, archived=False, text="Recorded 0 minutes ago.")

# No rule asks which model it was.
ANY_MODEL = ModelInfo("any", "0.0.0", ModelStatus.CANDIDATE, "0" * 64)

ALL_SHALL_COUNT = 0.5  # a threshold between the 0 and 1 of labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """All that the rules look at beside the probabilities. outside: why it is outside of the intended use."""

    quality: QualityReport
    measurements: Measurements
    age: float | None
    sex: Sex
    outside: tuple[str, ...] = ()


def circumstances(recording: Recording) -> Circumstances:
    """What `actions.analyze` finds out about a recording before it is classified."""
    quality = assess(recording)
    return Circumstances(
        quality=quality,
        measurements=measure(find_beats(recording)) if quality.usable else Measurements(),
        age=recording.age,
        sex=recording.sex,
        outside=outside_intended_use(recording, quality),
    )


def urgent(
    policy: Policy,
    cases: Sequence[Circumstances],
    probabilities: Probabilities,
    thresholds: Mapping[Superclass, float],
) -> NDArray[np.bool_]:
    """Whether each result's highest urgency is `immediate` or `urgent`, (recordings,). A recording that nobody could
    read gets no recommendation, and so is not."""
    return np.array(
        [_is_urgent(policy, case, row, thresholds) for case, row in zip(cases, probabilities, strict=True)], bool
    )


def truly_urgent(policy: Policy, cases: Sequence[Circumstances], labels: Labels) -> NDArray[np.float64]:
    """The same for a model that is certain and always right, (recordings,) of 0 and 1; NaN where a label is unknown
    on which the answer depends."""
    thresholds = dict.fromkeys(Superclass, ALL_SHALL_COUNT)
    least, most = (
        urgent(policy, cases, np.nan_to_num(labels, nan=unknown).astype(np.float32), thresholds)
        for unknown in (0.0, 1.0)
    )
    return np.where(least == most, least.astype(np.float64), np.nan)


def _is_urgent(
    policy: Policy, case: Circumstances, row: NDArray[np.float32], thresholds: Mapping[Superclass, float]
) -> bool:
    if not case.quality.usable:
        return False
    prediction = Prediction({c: float(row[i]) for c, i in COLUMNS.items()}, thresholds, ANY_MODEL)
    evidence = Evidence(
        prediction=prediction,
        quality=case.quality,
        measurements=case.measurements,
        age=case.age,
        sex=case.sex,
        recency=JUST_MADE,
        outside_intended_use=case.outside,
    )
    return any(r.urgency in HASTE for r in interpret(policy, evidence).recommendations)
