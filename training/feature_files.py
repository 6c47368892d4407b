"""The Parquet files of one partition of the feature store: rows are added in whole files and never changed.

A file appears when it is complete, so a reader, or the next run after a crash, sees whole rows only. Processes that add
at the same time take turns, and each row is there once.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from inference.features import FEATURE_NAMES, FEATURES_VERSION
from training.datasets.entry import Entry
from training.datasets.window import Extracted

Row = NDArray[np.float32]

# 1 MB, some seconds of work: what an interruption costs, and what is read to find one row.
ROWS_PER_FILE = 1024

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("patient_age", pa.float64()),
        pa.field("patient_sex", pa.string(), nullable=False),
        pa.field("sampling_rate", pa.float64(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in FEATURE_NAMES),
    ],
    metadata={"features_version": FEATURES_VERSION},
)


def row_key(entry: Entry) -> str:
    """What a row depends on within its partition: the samples, age and sex of a recording."""
    parts = [entry.recording_id, entry.source.key, entry.age, entry.sex]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, eq=False)
class _New:
    """A row that is not in a file yet."""

    entry: Entry
    extracted: Extracted


class FeatureFiles:
    """What the files hold. In memory: the key of each row, 400 bytes with its place, and the features of one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, tuple[Path, int]] = {}
        self._indexed: set[Path] = set()
        self._new: dict[str, _New] = {}
        self._open: tuple[Path, Row] | None = None
        self._index()

    def __len__(self) -> int:
        return len(self._places) + len(self._new)

    def __contains__(self, entry: Entry) -> bool:
        key = row_key(entry)
        return key in self._places or key in self._new

    def find(self, entries: Sequence[Entry]) -> dict[int, Row]:
        """The rows of those that have one, float32 (features,), by their places among the entries."""
        keys = [row_key(entry) for entry in entries]
        return {place: self._row(key) for place, key in enumerate(keys) if key in self._places}

    def add(self, entries: Sequence[Entry], extracted: Mapping[int, Extracted]) -> None:
        """Add rows. extracted: by the place of each among the entries. Raises OSError."""
        self._new |= {row_key(entries[place]): _New(entries[place], values) for place, values in extracted.items()}
        if len(self._new) >= ROWS_PER_FILE:
            self.flush()

    @contextmanager
    def appending(self) -> Iterator[None]:
        """At the end of the block everything that was added is in files, also when the block raises."""
        try:
            yield
        finally:
            self.flush()

    def flush(self) -> None:
        """Write what was added. Raises OSError."""
        if not self._new:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / ".lock"):
            self._index()
            rows = {key: new for key, new in self._new.items() if key not in self._places}
            self._new = {}
            if rows:
                self._write(rows)

    def _write(self, rows: Mapping[str, _New]) -> None:
        path = self._folder / f"part-{len(self._indexed):05d}.parquet"
        partial = self._folder / f".{path.name}"  # a name that readers of Parquet folders leave out
        # No dictionary: it would make one NaN of all NaNs.
        parquet.write_table(_table(rows), partial, compression="zstd", use_dictionary=False)
        _sync(partial)
        os.replace(partial, path)
        _sync(self._folder)
        self._index()

    def _index(self) -> None:
        """Learn the keys of files that are new."""
        for path in sorted(set(self._folder.glob("part-*.parquet")) - self._indexed):
            keys = parquet.read_table(path, columns=["key"], partitioning=None).column("key").to_pylist()
            self._places |= {key: (path, place) for place, key in enumerate(keys)}
            self._indexed.add(path)

    def _row(self, key: str) -> Row:
        path, place = self._places[key]
        if self._open is None or self._open[0] != path:
            self._open = path, matrix(parquet.read_table(path, columns=list(FEATURE_NAMES), partitioning=None))
        row: Row = self._open[1][place]
        return row


def matrix(table: Any) -> Row:
    """float32 (rows, features) of an Arrow table or record batch, bit for bit."""
    columns = [np.asarray(table.column(name), np.float32) for name in FEATURE_NAMES]
    return np.stack(columns, axis=1)


def _table(rows: Mapping[str, _New]) -> Any:
    new = list(rows.values())
    features = np.stack([row.extracted.features for row in new])
    columns = [
        pa.array(list(rows)),
        pa.array([row.entry.recording_id for row in new]),
        pa.array([row.entry.patient_id for row in new]),
        pa.array([row.entry.split.value for row in new]),
        pa.array([row.entry.age for row in new], pa.float64()),
        pa.array([row.entry.sex.value for row in new]),
        pa.array([row.extracted.sampling_rate for row in new], pa.float64()),
        *(pa.array(np.ascontiguousarray(column)) for column in features.T),
    ]
    return pa.table(columns, schema=SCHEMA)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
