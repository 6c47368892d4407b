"""Recordings as training takes them: what `actions.analyze` would give the model, one window of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.beats import find_beats
from inference.errors import EcgError
from inference.features import FEATURE_NAMES, extract
from inference.measurements import measure
from inference.prepare import MODEL_SAMPLES, ModelInput, prepare
from inference.quality import Severity, assess
from inference.recording import LEADS, Recording
from training.datasets.entry import Dropped, Entry


class SeveralWindows(ValueError):
    """A recording of more than 10 s: its one label cannot be given to each of its windows."""


@dataclass(frozen=True, slots=True, eq=False)
class Extracted:
    """features: float32 (features,), NaN for unknown, of a recording at `sampling_rate` Hz."""

    sampling_rate: float
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Some recordings in a row. signals: float32 (n, 12, 5000). features: float32 (n, features), NaN for unknown.
    dropped: those among `entries` recordings that are not in the arrays. extracted: features that were not known, by
    the place of the recording among the entries."""

    entries: int
    signals: NDArray[np.float32]
    features: NDArray[np.float32]
    dropped: tuple[tuple[int, Dropped], ...]
    extracted: Mapping[int, Extracted]


@dataclass(frozen=True, slots=True, eq=False)
class ShardOrder:
    """What to prepare. drop_unusable: leave out what cannot be read or what the service would refuse; otherwise nothing
    is judged. known: features that need not be extracted, by the place of the recording among the entries."""

    entries: Sequence[Entry]
    drop_unusable: bool
    known: Mapping[int, NDArray[np.float32]]


def extract_features(recording: Recording) -> NDArray[np.float32]:
    """The features of a recording, just as `actions.analyze` makes them."""
    beats = find_beats(recording)
    return extract(beats, measure(beats), recording.age, recording.sex)


def extract_shard(entries: Sequence[Entry]) -> tuple[dict[int, Extracted], tuple[Dropped, ...]]:
    """The features of some recordings, by their places, and those that cannot be read. Nothing is judged."""
    extracted: dict[int, Extracted] = {}
    dropped: list[Dropped] = []
    for place, entry in enumerate(entries):
        try:
            recording = entry.read()
        except EcgError as error:
            dropped.append(Dropped(entry.recording_id, str(error)))
        else:
            extracted[place] = Extracted(recording.sampling_rate, extract_features(recording))
    return extracted, tuple(dropped)


def model_input(recording: Recording, features: NDArray[np.float32] | None = None) -> ModelInput:
    """The one window of a recording of up to 10 s, just as `actions.analyze` makes it. features: where they are known.

    Raises SeveralWindows for a longer recording.
    """
    windows = prepare(recording, extract_features(recording) if features is None else features)
    if len(windows) != 1:
        raise SeveralWindows(f"a recording of {recording.duration:g} s has {len(windows)} windows")
    return windows[0]


def prepare_shard(order: ShardOrder) -> Shard:
    """Read and prepare some recordings. Raises what reading raises, unless what is unusable is dropped."""
    windows: list[ModelInput] = []
    dropped: list[tuple[int, Dropped]] = []
    extracted: dict[int, Extracted] = {}
    for place, entry in enumerate(order.entries):
        try:
            recording = entry.read()
            reason = _refused(recording) if order.drop_unusable else None
            if reason is None:
                windows.append(model_input(recording, order.known.get(place)))
                if place not in order.known:
                    extracted[place] = Extracted(recording.sampling_rate, windows[-1].features)
        except (EcgError, SeveralWindows) as error:
            if not order.drop_unusable:
                raise
            reason = str(error)
        if reason is not None:
            dropped.append((place, Dropped(entry.recording_id, reason)))
    signals = np.empty((len(windows), len(LEADS), MODEL_SAMPLES), np.float32)
    features = np.empty((len(windows), len(FEATURE_NAMES)), np.float32)
    for row, window in enumerate(windows):
        signals[row], features[row] = window.signal, window.features
    return Shard(len(order.entries), signals, features, tuple(dropped), extracted)


def _refused(recording: Recording) -> str | None:
    """Why the service would refuse a recording, None where it would not."""
    return next((f.text for f in assess(recording).findings if f.severity is Severity.REFUSED), None)
