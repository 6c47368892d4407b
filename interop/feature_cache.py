"""What was calculated of recordings before: in memory, and behind that in a table that outlives the process and is
shared by all processes on one database.

A table on another machine is asked in a thread of its own, so that one that hangs holds nobody up for long. The lane
waits meanwhile: whatever it did at the same time would dispute the interpreter's lock, which took three times as long
as waiting. A file does not hang, and is asked by the lane itself.
What is kept is what recording and engine alone decide; name, status and thresholds are those of the model that serves
when the search begins.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actions.computed import Computed
from audit.records import FeatureRow
from inference.digest import signal_digest
from inference.errors import EcgError, StorageUnavailable
from inference.fingerprint import computation_key
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.prediction import ModelInfo, Prediction
from inference.recording import Recording
from interop.feature_row import CorruptRow, to_values
from interop.metrics import CacheOutcome

log = logging.getLogger(__name__)

# How long a recording waits for the table: longer than a healthy database takes under load. Calculating takes 10 ms.
TABLE_SECONDS = 0.1


class Served(Protocol):
    """A loaded model."""

    model: ModelInfo
    thresholds: Mapping[Superclass, float]


class Memory:
    """The `limit` that were used last. Called by any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, Computed] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Computed | None:
        """What is kept under a key."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def put(self, computed: Computed) -> None:
        """Keep it under its key; where there is no room, what was not used for longest goes."""
        with self._lock:
            self._kept[computed.key] = computed
            self._kept.move_to_end(computed.key)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)


class MemoryAndTable:
    """`actions.ports.FeatureCache`, for one lane.

    served: gives the model in force. find: looks into the table; None for no table. may_hang: whether it is on another
    machine. count: told how each search ended. limit: how many are kept in memory. software: version of this program.
    """

    def __init__(
        self,
        *,
        served: Callable[[], Served],
        find: Callable[[bytes], FeatureRow | None] | None,
        count: Callable[[CacheOutcome], None],
        limit: int,
        software: str,
        may_hang: bool = True,
    ) -> None:
        self.memory = Memory(limit)
        self.find = find
        self.count = count
        self.software = software
        self._served = served
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="features") if may_hang else None
        self._hanging: Future[FeatureRow | None] | None = None

    def look_up(self, recording: Recording, digest: str | None = None) -> "Search":
        """See `actions.ports.FeatureCache`."""
        return Search(self, recording, self._served(), digest)

    def ask(self, key: bytes) -> FeatureRow | None:
        """The table's row of a key. Raises StorageUnavailable, also when the table does not answer in time, and then
        at once as long as it hangs."""
        if self.find is None:
            return None
        if self._thread is None:
            return self.find(key)
        if self._hanging is not None and not self._hanging.done():
            raise StorageUnavailable("the feature cache still does not answer")
        running = self._thread.submit(self.find, key)
        try:
            return running.result(TABLE_SECONDS)
        except TimeoutError:
            self._hanging = running
            raise StorageUnavailable(f"no answer within {TABLE_SECONDS:g} s") from None

    def close(self) -> None:
        """Stop the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a search ended, and what it found."""

    outcome: CacheOutcome
    found: Computed | None = None


class Search:
    """`actions.ports.Lookup`."""

    def __init__(self, cache: MemoryAndTable, recording: Recording, served: Served, digest: str | None) -> None:
        self._cache = cache
        self._recording = recording
        self._served = served
        self._digest = digest

    def found(self) -> Computed | None:
        """See `actions.ports.Lookup`."""
        key = self._key(self._served.model)
        kept = self._cache.memory.get(key)
        ended = self._in_table(key) if kept is None else Ended(CacheOutcome.HIT_MEMORY, self._known(kept))
        self._cache.count(ended.outcome)
        return ended.found

    def keep(self, features: NDArray[np.float32], measurements: Measurements, prediction: Prediction) -> Computed:
        """See `actions.ports.Lookup`. The prediction may be of a newer model than the one that was searched for."""
        computed = Computed(
            digest=self._signal_digest(),
            key=self._key(prediction.model),
            features=features,
            measurements=measurements,
            prediction=prediction,
            is_new=self._cache.find is not None,
        )
        self._cache.memory.put(computed)
        return computed

    def _in_table(self, key: bytes) -> Ended:
        try:
            row = self._cache.ask(key)
            return Ended(CacheOutcome.MISS) if row is None else Ended(CacheOutcome.HIT_TABLE, self._read(row))
        except CorruptRow as error:
            log.error("a row of the feature cache is ignored", extra={"key": key.hex(), "reason": str(error)})
            return Ended(CacheOutcome.CORRUPT)
        except EcgError as error:
            log.warning("the feature cache cannot be read", extra={"code": error.code, "reason": error.message})
            return Ended(CacheOutcome.UNAVAILABLE)

    def _read(self, row: FeatureRow) -> Computed:
        features, measurements, probabilities = to_values(row)
        prediction = self._prediction(probabilities)
        computed = Computed(self._signal_digest(), row.key, features, measurements, prediction, is_new=False)
        self._cache.memory.put(computed)
        return computed

    def _known(self, kept: Computed) -> Computed:
        return replace(kept, prediction=self._prediction(kept.prediction.probabilities), is_new=False)

    def _prediction(self, probabilities: Mapping[Superclass, float]) -> Prediction:
        return Prediction(probabilities, self._served.thresholds, self._served.model)

    def _key(self, model: ModelInfo) -> bytes:
        return computation_key(
            self._signal_digest(),
            self._recording.age,
            self._recording.sex,
            model=model.sha256,
            software=self._cache.software,
        )

    def _signal_digest(self) -> str:
        if self._digest is None:
            self._digest = signal_digest(self._recording)
        return self._digest
