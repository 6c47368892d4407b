"""What the use cases need from outside, as small protocols."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from actions.computed import Computed
from inference.measurements import Measurements
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.recording import Recording


class Classify(Protocol):
    """A loaded model."""

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        """Classify the windows of one recording, their probabilities averaged. Raises ModelUnavailable when inference
        fails."""


class Lookup(Protocol):
    """The search for what was calculated of one recording before."""

    def found(self) -> Computed | None:
        """It, with a prediction of the model that served when the search was made; None where it has to be calculated.
        A store that fails or does not answer in time is no error: the calculation is what it could have saved."""

    def keep(self, features: NDArray[np.float32], measurements: Measurements, prediction: Prediction) -> Computed:
        """Remember what had to be calculated."""


class FeatureCache(Protocol):
    """What was calculated of recordings before. Only calculation is shared: every item gets an Analysis of its own."""

    def look_up(self, recording: Recording, digest: str | None = None) -> Lookup:
        """The search for it, with the model that serves now. digest: of the signal, where it is known already."""


class Clock(Protocol):
    """What time it is."""

    def __call__(self) -> datetime:
        """The current time, aware, UTC."""


class Ids(Protocol):
    """Where new identities come from."""

    def __call__(self) -> UUID:
        """A new UUIDv7."""
