"""Fakes of the ports, for every test that needs a use case without a model, a clock or chance."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from actions.computed import Computed
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.prediction import ModelInfo, ModelStatus, Prediction
from inference.prepare import ModelInput
from inference.recording import Recording

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

CHAMPION = ModelInfo(name="fake-resnet", version="1.2.3", status=ModelStatus.CHAMPION, sha256="0" * 64)
CANDIDATE = ModelInfo(name="fake-resnet", version="1.3.0", status=ModelStatus.CANDIDATE, sha256="1" * 64)

THRESHOLDS = dict.fromkeys(Superclass, 0.3)


def make_prediction(model: ModelInfo = CHAMPION, /, **probabilities: float) -> Prediction:
    """A prediction, `make_prediction(MI=0.83)`: 0.01 for every class that is not named, threshold 0.3 for all."""
    chosen = {superclass: probabilities.pop(superclass.value, 0.01) for superclass in Superclass}
    if probabilities:
        raise ValueError(f"no such class: {sorted(probabilities)}")
    return Prediction(probabilities=chosen, thresholds=dict(THRESHOLDS), model=model)


@dataclass(slots=True)
class FakeClassify:
    """A model that always gives the chosen prediction and remembers the windows of every call."""

    prediction: Prediction = field(default_factory=lambda: make_prediction(NORM=0.95))
    calls: list[tuple[ModelInput, ...]] = field(default_factory=list)

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        self.calls.append(tuple(windows))
        return self.prediction


@dataclass(slots=True)
class FakeCache:
    """A feature cache that knows the chosen thing of every recording, or nothing; what it is given and told to keep.
    It is its own lookup."""

    known: Computed | None = None
    asked: list[tuple[Recording, str | None]] = field(default_factory=list)
    kept: list[Computed] = field(default_factory=list)

    def look_up(self, recording: Recording, digest: str | None = None) -> "FakeCache":
        self.asked.append((recording, digest))
        return self

    def found(self) -> Computed | None:
        return self.known

    def keep(self, features: NDArray[np.float32], measurements: Measurements, prediction: Prediction) -> Computed:
        self.kept.append(Computed("digest", b"key", features, measurements, prediction))
        return self.kept[-1]


@dataclass(slots=True)
class FixedClock:
    """A clock that stands still until a test sets `now`."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass(slots=True)
class SequentialIds:
    """UUIDs of version 7 (RFC 9562) that count up: 00000000-0000-7000-8000-000000000001, ...2, ..."""

    given: int = 0

    def __call__(self) -> UUID:
        self.given += 1
        return UUID(int=(7 << 76) | (0b10 << 62) | self.given)
