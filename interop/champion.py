"""The model that serves, exchanged while it serves.

`ecg-interop model activate` changes the pointer file, nothing else; every process that serves by that pointer sees it
within WATCH_SECONDS, loads and warms the new model in a thread beside the one that serves, writes the change into the
audit trail, and exchanges the two between two calls of the lane. A model that cannot be loaded changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from inference.artifact import CARD_FILE, find_model
from inference.classifier import Classifier
from inference.errors import EcgError
from inference.prediction import ModelInfo, Prediction
from inference.prepare import ModelInput
from interop.metrics import Metrics, ModelChange

log = logging.getLogger(__name__)

# Two small files are read so often. An operator who activates a model waits no longer than the loading takes anyway.
WATCH_SECONDS = 2.0
# A model that failed may be one whose files are still being copied.
RETRY_SECONDS = 30.0


class Champion:
    """The classifier in force; `actions.ports.Classify`. Each call takes the classifier once, so a recording, or a
    batch of them, is classified by one model whenever it is exchanged."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def model(self) -> ModelInfo:
        """Which model serves now."""
        return self._classifier.model

    def serving(self) -> Classifier:
        """The classifier in force."""
        return self._classifier

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        """Classify one recording. Raises ModelUnavailable."""
        return self._classifier(windows)

    def batch(self, recordings: Sequence[Sequence[ModelInput]]) -> tuple[Prediction, ...]:
        """Classify several recordings in one run. Raises ModelUnavailable."""
        return self._classifier.batch(recordings)

    def exchange(self, classifier: Classifier) -> None:
        """Serve by another model from the next call on."""
        self._classifier = classifier


@dataclass(frozen=True, slots=True)
class Release:
    """A released model as it lies on disk. card: its bytes, so that a changed status or waiver counts as a change."""

    folder: Path
    card: bytes


def pointed_release(pointer: Path) -> Release:
    """What a pointer file leads to. Raises ModelInvalid, OSError."""
    folder = find_model(pointer)
    return Release(folder, (folder / CARD_FILE).read_bytes())


class Watch:
    """Follows a pointer file. load: gives a warm classifier, in a thread of its own. confirm: records the change,
    before the first result of the new model. served: what was loaded at start."""

    def __init__(
        self,
        pointer: Path,
        champion: Champion,
        load: Callable[[Path], Classifier],
        confirm: Callable[[ModelInfo, ModelInfo], Awaitable[None]],
        metrics: Metrics,
        served: Release | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._pointer = pointer
        self._champion = champion
        self._load = load
        self._confirm = confirm
        self._metrics = metrics
        self._served = served
        self._clock = clock
        self._failed: tuple[Release | str, float] | None = None

    async def look(self) -> None:
        """Take up what the pointer leads to, if that is another model now. Raises what `confirm` raises; then the old
        model goes on, and the next look tries again."""
        try:
            release = await asyncio.to_thread(pointed_release, self._pointer)
        except (EcgError, OSError) as error:
            self._fail(str(error), error)
            return
        if release == self._served or self._is_known_to_fail(release):
            return
        try:
            classifier = await asyncio.to_thread(self._load, release.folder)
        except EcgError as error:
            self._fail(release, error)
            return
        await self._take_up(classifier, release)

    async def _take_up(self, classifier: Classifier, release: Release) -> None:
        before, after = self._champion.model, classifier.model
        await self._confirm(before, after)
        self._champion.exchange(classifier)
        self._served, self._failed = release, None
        self._metrics.model(after)
        self._metrics.model_change(ModelChange.TAKEN_UP)
        log.info("model taken up", extra={"before": _named(before), "model": _named(after), "sha256": after.sha256})

    def _is_known_to_fail(self, what: Release | str) -> bool:
        return self._failed is not None and self._failed[0] == what and self._clock() < self._failed[1]

    def _fail(self, what: Release | str, error: EcgError | OSError) -> None:
        """Once for each thing that fails, and again each RETRY_SECONDS."""
        if self._is_known_to_fail(what):
            return
        self._failed = what, self._clock() + RETRY_SECONDS
        self._metrics.model_change(ModelChange.FAILED)
        reason = error.message if isinstance(error, EcgError) else type(error).__name__
        log.error(
            "the activated model is not taken up", extra={"model": _named(self._champion.model), "reason": reason}
        )


def _named(model: ModelInfo) -> str:
    return f"{model.name} {model.version}"
