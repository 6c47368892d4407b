"""The offline feature store: one row of clinical features for each recording, in Parquet.

    <folder>/dataset=ptbxl/version=1.0.3/shape=6f0c.../part-00000.parquet

pandas, Polars, DuckDB and Spark read it as a partitioned table. `shape` is a digest of what shapes a row: names and
version of the features, preprocessing. A row is of one recording at one sampling rate, with the age and sex that were
extracted with it. Rows are added, never changed: a recording whose age was corrected has a later row. The rows of the
test split are there like all others; labels, of any split, are not.

The features are those that the service extracts from the same recording, bit for bit.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import compute
from pyarrow import dataset as arrow

from inference.features import FEATURE_NAMES
from inference.fingerprint import shape_hash
from inference.recording import Sex
from training.datasets.catalog import KINDS
from training.datasets.entry import Dropped, Entry, Split
from training.datasets.parallel import in_order
from training.datasets.preparing import Progress
from training.datasets.window import extract_shard
from training.feature_files import FeatureFiles, matrix

FOLDER = Path("var/features")

# Of a data set that is not in the catalogue.
UNVERSIONED = "unversioned"
SHARD_SIZE = 64  # recordings: a third of a second of work
BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did. dropped: recordings that cannot be read; they are tried again the next time."""

    added: int
    present: int
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StoredFeatures:
    """recording_ids: str (n,). sampling_rates: Hz, (n,). features: float32 (n, features) in the order of
    `FEATURE_NAMES`, NaN for unknown."""

    recording_ids: NDArray[np.str_]
    sampling_rates: NDArray[np.float64]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.recording_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows to read; None for all."""

    splits: Collection[Split] | None = None
    sexes: Collection[Sex] | None = None
    sampling_rate: float | None = None
    recording_ids: Collection[str] | None = None

    def expression(self) -> Any:
        """As Arrow filters."""
        found = compute.scalar(True)
        for name, values in (("split", self.splits), ("patient_sex", self.sexes), ("recording_id", self.recording_ids)):
            if values is not None:
                found &= compute.field(name).isin([str(value) for value in values])
        if self.sampling_rate is not None:
            found &= compute.field("sampling_rate") == self.sampling_rate
        return found


class FeatureStore:
    """All features in one folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def partition(self, dataset: str) -> Path:
        """Where the rows of a data set lie that this version of the engine extracts."""
        version = KINDS[dataset].version if dataset in KINDS else UNVERSIONED
        return self._folder / f"dataset={dataset}" / f"version={version}" / f"shape={shape_hash()[:16]}"

    def files(self, dataset: str) -> FeatureFiles:
        """Those rows, to be found and added one by one."""
        return FeatureFiles(self.partition(dataset))

    def update(self, entries: Sequence[Entry], *, workers: int = 0, progress: Progress | None = None) -> Updated:
        """Extract and store what is missing; what was stored before an interruption is not missing.

        entries: of one data set. workers: processes beside this one, 0 for none. Raises OSError.
        """
        if not entries:
            return Updated(0, 0, ())
        files = self.files(entries[0].dataset)
        missing = [entry for entry in entries if entry not in files]
        present = done = len(entries) - len(missing)
        dropped: list[Dropped] = []
        parts = (missing[start : start + SHARD_SIZE] for start in range(0, len(missing), SHARD_SIZE))
        with files.appending():
            for part, (extracted, without) in in_order(extract_shard, parts, workers):
                files.add(part, extracted)
                dropped.extend(without)
                done += len(part)
                if progress is not None:
                    progress(done, len(entries))
        return Updated(len(missing) - len(dropped), present, tuple(dropped))

    def batches(self, dataset: str, wanted: Wanted | None = None) -> Iterator[StoredFeatures]:
        """Rows in the order in which they were added, some at a time: memory does not grow with their number."""
        folder = self.partition(dataset)
        if not folder.is_dir():
            return
        found = arrow.dataset(folder, format="parquet").scanner(
            columns=["recording_id", "sampling_rate", *FEATURE_NAMES],
            filter=(wanted or Wanted()).expression(),
            batch_size=BATCH_ROWS,
            batch_readahead=1,
            fragment_readahead=1,
        )
        for batch in found.to_batches():
            if batch.num_rows:
                ids = np.array(batch.column("recording_id").to_pylist(), np.str_)
                yield StoredFeatures(ids, np.asarray(batch.column("sampling_rate"), np.float64), matrix(batch))

    def read(self, dataset: str, wanted: Wanted | None = None) -> StoredFeatures:
        """The newest row of each recording at each sampling rate, in the order in which they were added."""
        batches = list(self.batches(dataset, wanted))
        if not batches:
            return StoredFeatures(np.empty(0, np.str_), np.empty(0), np.empty((0, len(FEATURE_NAMES)), np.float32))
        ids = np.concatenate([batch.recording_ids for batch in batches])
        rates = np.concatenate([batch.sampling_rates for batch in batches])
        pairs = zip(ids.tolist(), rates.tolist(), strict=True)
        newest = sorted({pair: place for place, pair in enumerate(pairs)}.values())
        features = np.concatenate([batch.features for batch in batches])
        return StoredFeatures(ids[newest], rates[newest], features[newest])
