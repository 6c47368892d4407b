"""The result types of the action engine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from actions.computed import Computed
from inference.labels import Coding, Superclass
from inference.measurements import Measurements
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.quality import QualityReport
from inference.recording import Sex


class Urgency(StrEnum):
    """Most urgent first: the order of definition is the order of ranking."""

    IMMEDIATE = "immediate"
    URGENT = "urgent"
    ROUTINE = "routine"
    NONE = "none"

    @property
    def rank(self) -> int:
        """0 for immediate, growing with less urgency; a sort key."""
        return tuple(Urgency).index(self)


class Door(StrEnum):
    """Where a recording came in."""

    FHIR = "fhir"
    MLLP = "mllp"
    PREDICT = "predict"
    CDS_HOOKS = "cds-hooks"
    CLI = "cli"


class Mode(StrEnum):
    """`silent` analyses and stores, but nothing reaches a clinician."""

    LIVE = "live"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """What a door knows of a request beside the recording. received_at is aware."""

    door: Door
    received_at: datetime
    correlation_id: str
    sender: str | None = None
    mode: Mode = Mode.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One proposed clinical action. confidence: the probability of the diagnosis behind it, 0 to 1 (1.0 where a
    measurement alone triggered it). diagnosis is None for a rule that rests on measurements or quality alone.
    source: guideline or paper. code: SNOMED CT procedure, only where verified."""

    action: str
    urgency: Urgency
    confidence: float
    diagnosis: Superclass | None
    rule: str
    rationale: str
    source: str
    code: Coding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInfo:
    """Which rules made the recommendations. sha256 is over the rules file's bytes."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The outcome for one received recording. `id` is a UUIDv7 and serves as prediction_id and DiagnosticReport id.

    prediction is None when the signal could not be interpreted: then there are no recommendations and `quality` says
    why. conclusion: text for a clinician. conclusion_codes: SNOMED CT, empty where nothing may be coded.
    outside_intended_use: reasons, empty when inside. archived: recorded longer ago than the acute window, so that it
    raises no card and no outbound result. warnings: everything a reader must know, in words. features: what the model
    saw beside the signal, float32, NaN for unknown, for monitoring; no part of the result. computed: what it shares
    with other analyses of the same recording, for the feature cache; no part of the result either. windows: what was
    classified, none where that was known before; for a model in shadow mode, and no part of the result.
    """

    id: UUID
    door: Door
    analyzed_at: datetime
    recorded_at: datetime | None
    age: float | None
    sex: Sex
    sampling_rate: float
    duration: float
    quality: QualityReport
    measurements: Measurements
    prediction: Prediction | None
    recommendations: tuple[Recommendation, ...]
    conclusion: str
    conclusion_codes: tuple[Coding, ...]
    outside_intended_use: tuple[str, ...]
    archived: bool
    warnings: tuple[str, ...]
    mode: Mode
    policy: PolicyInfo
    timings: Mapping[str, float]
    features: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    computed: Computed | None = field(default=None, compare=False, repr=False)
    windows: tuple[ModelInput, ...] = field(default=(), compare=False, repr=False)

    @property
    def interpretable(self) -> bool:
        """Whether the signal could be classified at all."""
        return self.prediction is not None

    @property
    def urgency(self) -> Urgency:
        """The highest urgency of the recommendations."""
        return highest_urgency(self.recommendations)


def highest_urgency(recommendations: Iterable[Recommendation]) -> Urgency:
    """The highest; `none` of none."""
    return min((r.urgency for r in recommendations), key=lambda u: u.rank, default=Urgency.NONE)
