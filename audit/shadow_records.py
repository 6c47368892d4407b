"""Frozen values and protocols of shadow mode: what another model would have said. They belong to `audit.records`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRow:
    """What a model in shadow mode said of an analysed ECG; nobody was told. decided: the superclasses at or above its
    thresholds. urgency: the highest that the rules in force would have given. milliseconds: of its forward pass.
    Nothing of the patient is in it."""

    analysis_id: str
    model_name: str
    model_version: str
    model_sha256: str
    probabilities: Mapping[str, float]
    decided: Sequence[str]
    urgency: str
    milliseconds: float
    recorded_at: datetime


class Shadows(Protocol):
    """What models in shadow mode said."""

    def add(self, row: ShadowRow) -> bool:
        """Store one. False where its analysis is not stored (the ECG had come before), or has one already."""

    def of(self, analysis_id: str) -> ShadowRow | None:
        """What was said of one analysis."""
