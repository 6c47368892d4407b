"""Recordings as the network takes them, prepared once and kept as arrays on disk.

The folder's name is a hash of all that shapes the arrays: preprocessing, feature names and their version, and what is
asked for. So a change in any of them makes a new folder, and nothing stale is ever read.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.beats import find_beats
from inference.features import FEATURE_NAMES, FEATURES_VERSION, extract
from inference.labels import Superclass
from inference.measurements import measure
from inference.prepare import MODEL_SAMPLES, ModelInput, prepare, preprocessing_hash
from inference.recording import LEADS, Recording
from training.datasets.ptbxl import Entry

Progress = Callable[[int, int], None]  # recordings done, recordings in all


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """signals: float32 (recordings, 12, 5000), mapped from disk. features: float32 (recordings, n), NaN for unknown.
    labels: float32 (recordings, 5) of 0 and 1, in the order of `Superclass`. ecg_ids: int64 (recordings,)."""

    signals: NDArray[np.float32]
    features: NDArray[np.float32]
    labels: NDArray[np.float32]
    ecg_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ecg_ids)


def model_input(recording: Recording) -> ModelInput:
    """The one window of a recording of up to 10 s, just as `actions.analyze` makes it.

    Raises ValueError for a longer recording: one label cannot be given to each of several windows.
    """
    beats = find_beats(recording)
    features = extract(beats, measure(beats), recording.age, recording.sex)
    windows = prepare(recording, features)
    if len(windows) != 1:
        raise ValueError(f"a recording of {recording.duration:g} s has {len(windows)} windows")
    return windows[0]


def load_prepared(entries: Sequence[Entry], cache: Path, progress: Progress | None = None) -> Prepared:
    """The arrays of these recordings, in their order, from the cache or prepared now.

    Raises what reading and preparing raise; nothing is left in the cache then.
    """
    folder = cache / _key(entries)
    if not folder.is_dir():
        _fill(entries, folder, progress)
    return Prepared(
        signals=np.load(folder / "signals.npy", mmap_mode="r"),
        features=np.load(folder / "features.npy"),
        labels=_labels(entries),
        ecg_ids=np.array([e.ecg_id for e in entries], np.int64),
    )


def _key(entries: Sequence[Entry]) -> str:
    asked = [[str(e.header.resolve()), e.age, e.sex] for e in entries]
    shape = [preprocessing_hash(), FEATURES_VERSION, FEATURE_NAMES, asked]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


def _labels(entries: Sequence[Entry]) -> NDArray[np.float32]:
    return np.array([[c in e.labels for c in Superclass] for e in entries], np.float32).reshape(-1, len(Superclass))


def _fill(entries: Sequence[Entry], folder: Path, progress: Progress | None) -> None:
    """Write to a folder beside it and rename at the end, so that an interrupted run leaves no half-filled cache."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        partial = Path(scratch) / "arrays"
        partial.mkdir()
        shape = (len(entries), len(LEADS), MODEL_SAMPLES)
        signals = np.lib.format.open_memmap(partial / "signals.npy", "w+", np.dtype(np.float32), shape)
        features = np.empty((len(entries), len(FEATURE_NAMES)), np.float32)
        for i, entry in enumerate(entries):
            window = model_input(entry.read())
            signals[i], features[i] = window.signal, window.features
            if progress is not None:
                progress(i + 1, len(entries))
        signals.flush()
        np.save(partial / "features.npy", features)
        os.replace(partial, folder)
