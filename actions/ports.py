"""What the use cases need from outside, as small protocols."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from inference.prediction import Prediction
from inference.prepare import ModelInput


class Classify(Protocol):
    """A loaded model."""

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        """Classify the windows of one recording, their probabilities averaged. Raises ModelUnavailable when inference
        fails."""


class Clock(Protocol):
    """What time it is."""

    def __call__(self) -> datetime:
        """The current time, aware, UTC."""


class Ids(Protocol):
    """Where new identities come from."""

    def __call__(self) -> UUID:
        """A new UUIDv7."""
