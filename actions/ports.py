"""What the use cases need from outside, as small protocols."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from inference.prediction import Prediction
from inference.prepare import ModelInput


class Classify(Protocol):
    """A loaded model. Takes the windows of one recording and averages their probabilities. Raises ModelUnavailable
    when inference fails."""

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction: ...


class Clock(Protocol):
    """The current time, aware, UTC."""

    def __call__(self) -> datetime: ...


class Ids(Protocol):
    """A new UUIDv7."""

    def __call__(self) -> UUID: ...
