"""Recordings as the network takes them, prepared once and kept as arrays on disk.

The folder's name is a hash of all that shapes the arrays: preprocessing, feature names and their version, and what is
asked for. So a change in any of them makes a new folder, and nothing stale is ever read.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.labels import Superclass
from inference.prepare import MODEL_SAMPLES, preprocessing_hash
from inference.recording import LEADS
from training.datasets.entry import Dropped, Entry
from training.datasets.preparing import FEATURES_FILE, SIGNALS_FILE, Progress, fill, read_journal
from training.feature_store import FeatureStore

FEATURES_FOLDER = "features"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """signals: float32 (recordings, 12, 5000), mapped from disk. features: float32 (recordings, n), NaN for unknown,
    mapped too. labels: float32 (recordings, 5) of 0, 1 and NaN for unknown, in the order of `Superclass`.
    recording_ids: str (recordings,). entries: one a row, where it came from entries. dropped: those without a row."""

    signals: NDArray[np.float32]
    features: NDArray[np.float32]
    labels: NDArray[np.float32]
    recording_ids: NDArray[np.str_]
    entries: tuple[Entry, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    def __len__(self) -> int:
        return len(self.recording_ids)


def load_prepared(
    entries: Sequence[Entry],
    cache: Path,
    progress: Progress | None = None,
    *,
    workers: int = 0,
    drop_unusable: bool = False,
    features: FeatureStore | None = None,
) -> Prepared:
    """The arrays of these recordings, in their order, from the cache or prepared now.

    workers: processes that prepare, 0 for this one. drop_unusable: leave out recordings that cannot be read or that
    the service would refuse; `Prepared.entries` then are those that are left. features: the store that features are
    taken from and added to, by default in `features` beside the cache. Raises what reading and preparing raise
    otherwise; the cache keeps what was prepared by then, and goes on from there the next time.
    """
    folder = cache / _key(entries, drop_unusable)
    if not folder.is_dir():
        features = features or FeatureStore(cache.parent / FEATURES_FOLDER)
        names = {e.dataset for e in entries}
        store = features.files(names.pop()) if len(names) == 1 else None  # a partition is of one data set
        fill(entries, folder, workers=workers, drop_unusable=drop_unusable, progress=progress, store=store)
    done = read_journal(folder)
    places = {place for place, _ in done.dropped}
    kept = tuple(e for place, e in enumerate(entries) if place not in places)
    return Prepared(
        signals=_mapped(folder / SIGNALS_FILE, (done.rows, len(LEADS), MODEL_SAMPLES)),
        features=_mapped(folder / FEATURES_FILE, (done.rows, len(FEATURE_NAMES))),
        labels=label_rows(kept),
        recording_ids=np.array([e.recording_id for e in kept], np.str_),
        entries=kept,
        dropped=tuple(why for _, why in done.dropped),
    )


def label_rows(entries: Sequence[Entry]) -> NDArray[np.float32]:
    """float32 (entries, 5) of 0, 1 and NaN for unknown, in the order of `Superclass`."""
    rows = [[float(e.labels.get(c, np.nan)) for c in Superclass] for e in entries]
    return np.array(rows, np.float32).reshape(-1, len(Superclass))


def _key(entries: Sequence[Entry], drop_unusable: bool) -> str:
    shape = [preprocessing_hash(), FEATURES_VERSION, list(FEATURE_NAMES), drop_unusable]
    digest = hashlib.sha256(json.dumps(shape).encode())
    for entry in entries:
        digest.update(json.dumps([entry.source.key, entry.age, entry.sex]).encode())
    return digest.hexdigest()[:16]


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array on disk, of which only what is used comes into memory. Writing to it changes nothing on disk."""
    if shape[0] == 0:  # an empty file cannot be mapped
        return np.empty(shape, np.float32)
    mapped: np.memmap[Any, np.dtype[np.float32]] = np.memmap(path, np.float32, mode="c", shape=shape)
    return mapped
