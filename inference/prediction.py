"""What a model says of one recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from inference.labels import Superclass


class ModelStatus(StrEnum):
    """`champion` passed the promotion gate; `candidate` did not (yet) and says so everywhere."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model made a prediction. `sha256` is the checksum of the weights that ran. waived: what it was promoted
    without, in words for the readers of its results; None for nothing."""

    name: str
    version: str
    status: ModelStatus
    sha256: str
    waived: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probability per superclass, 0 to 1 (multi-label: they do not add up to 1), and the thresholds of decision."""

    probabilities: Mapping[Superclass, float]
    thresholds: Mapping[Superclass, float]
    model: ModelInfo

    def __post_init__(self) -> None:
        for superclass in Superclass:
            if not 0.0 <= self.probabilities[superclass] <= 1.0:
                raise ValueError(f"probability of {superclass} is {self.probabilities[superclass]}")

    @property
    def decided(self) -> tuple[Superclass, ...]:
        """The superclasses at or above their threshold, most probable first."""
        above = [c for c in Superclass if self.probabilities[c] >= self.thresholds[c]]
        return tuple(sorted(above, key=lambda c: -self.probabilities[c]))
