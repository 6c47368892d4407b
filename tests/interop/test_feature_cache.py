import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from actions.computed import Computed
from audit.records import FeatureRow
from inference.errors import StorageUnavailable
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.prediction import ModelInfo, ModelStatus
from inference.recording import Recording, Sex
from interop import feature_cache
from interop.feature_cache import Memory, MemoryAndTable
from interop.feature_row import to_row
from interop.metrics import CacheOutcome
from tests.fakes import CANDIDATE, CHAMPION, THRESHOLDS, make_prediction

SIGNAL = np.random.default_rng(0).normal(size=(12, 500)).astype(np.float32)
RECORDING = Recording(signal=SIGNAL, sampling_rate=500.0, age=61.0, sex=Sex.MALE)
FEATURES = np.arange(len(FEATURE_NAMES), dtype=np.float32)
MEASURED = Measurements(heart_rate=71.0)


@dataclass
class FakeServed:
    model: ModelInfo = CHAMPION
    thresholds: Mapping[Superclass, float] = field(default_factory=lambda: dict(THRESHOLDS))


@dataclass
class World:
    """A cache and what it is connected with. table: None for a cache without one."""

    table: dict[bytes, FeatureRow] | None = field(default_factory=dict)
    limit: int = 2
    software: str = "1.0"
    served: FakeServed = field(default_factory=FakeServed)
    outcomes: list[CacheOutcome] = field(default_factory=list)
    find: Callable[[bytes], FeatureRow | None] | None = None

    @contextmanager
    def cache(self) -> Iterator[MemoryAndTable]:
        find = self.find or (self.table.get if self.table is not None else None)
        made = MemoryAndTable(
            served=lambda: self.served, find=find, count=self.outcomes.append, limit=self.limit, software=self.software
        )
        try:
            yield made
        finally:
            made.close()

    def calculated(self, cache: MemoryAndTable, recording: Recording = RECORDING) -> Computed:
        """What the lane does with a recording that it does not know."""
        search = cache.look_up(recording)
        assert search.found() is None
        computed = search.keep(FEATURES, MEASURED, make_prediction(self.served.model, MI=0.8))
        if self.table is not None and computed.is_new:
            self.table[computed.key] = to_row(computed)
        return computed


def test_what_was_kept_is_found_in_memory_and_need_not_be_stored_again() -> None:
    world = World()
    with world.cache() as cache:
        first = world.calculated(cache)
        again = cache.look_up(replace(RECORDING, notes=("by another door",))).found()
    assert again is not None
    assert (first.is_new, again.is_new) == (True, False)
    assert again.features is first.features
    assert (again.measurements, again.prediction) == (first.measurements, first.prediction)
    assert (again.key, again.digest) == (first.key, first.digest)
    assert world.outcomes == [CacheOutcome.MISS, CacheOutcome.HIT_MEMORY]


def test_another_process_finds_it_in_the_table_and_then_in_its_own_memory() -> None:
    world = World()
    with world.cache() as cache:
        first = world.calculated(cache)
    with world.cache() as other:
        found = other.look_up(RECORDING).found()
        again = other.look_up(RECORDING).found()
    assert found is not None
    assert again is not None
    assert found.features.tobytes() == first.features.tobytes()
    assert (found.measurements, found.prediction, found.is_new) == (first.measurements, first.prediction, False)
    assert world.outcomes[1:] == [CacheOutcome.HIT_TABLE, CacheOutcome.HIT_MEMORY]


def test_status_and_thresholds_are_those_of_the_model_that_serves_now() -> None:
    world = World(served=FakeServed(CANDIDATE))
    with world.cache() as cache:
        world.calculated(cache)
        promoted = replace(CANDIDATE, status=ModelStatus.CHAMPION)
        world.served = FakeServed(promoted, dict.fromkeys(Superclass, 0.9))
        found = cache.look_up(RECORDING).found()
    assert found is not None
    assert found.prediction.model == promoted
    assert found.prediction.decided == ()


@pytest.mark.parametrize("change", ["model", "software", "age", "sex", "rate", "sample"])
def test_nothing_is_found_for_another(change: str) -> None:
    world = World()
    with world.cache() as cache:
        world.calculated(cache)
    signal = SIGNAL.copy()
    signal[3, 77] = np.nextafter(signal[3, 77], np.float32(9))
    recording = {
        "age": replace(RECORDING, age=62.0),
        "sex": replace(RECORDING, sex=Sex.UNKNOWN),
        "rate": replace(RECORDING, sampling_rate=499.0),
        "sample": replace(RECORDING, signal=signal),
    }.get(change, RECORDING)
    if change == "model":
        world.served = FakeServed(CANDIDATE)
    if change == "software":
        world.software = "1.1"
    with world.cache() as cache:
        assert cache.look_up(recording).found() is None


def test_what_a_newer_model_calculated_is_kept_for_that_model() -> None:
    world = World()
    with world.cache() as cache:
        search = cache.look_up(RECORDING)
        search.keep(FEATURES, MEASURED, make_prediction(CANDIDATE))  # activated while the recording was on its way
        assert cache.look_up(RECORDING).found() is None
        world.served = FakeServed(CANDIDATE)
        assert cache.look_up(RECORDING).found() is not None


def test_a_known_digest_is_taken() -> None:
    world = World()
    with world.cache() as cache:
        first = world.calculated(cache)
        assert cache.look_up(RECORDING, first.digest).found() is not None
        assert cache.look_up(RECORDING, "another").found() is None


def test_memory_keeps_those_that_were_used_last() -> None:
    one, two, three = (Computed("d", bytes([n]), FEATURES, MEASURED, make_prediction()) for n in range(3))
    memory = Memory(2)
    memory.put(one)
    memory.put(two)
    assert memory.get(one.key) is one
    memory.put(three)
    assert (memory.get(two.key), memory.get(one.key), memory.get(three.key)) == (None, one, three)
    assert len(memory) == 2


def test_without_memory_the_table_is_asked_each_time() -> None:
    world = World(limit=0)
    with world.cache() as cache:
        world.calculated(cache)
        assert cache.look_up(RECORDING).found() is not None
        assert cache.look_up(RECORDING).found() is not None
    assert world.outcomes[1:] == [CacheOutcome.HIT_TABLE] * 2


def test_without_a_table_nothing_is_to_be_stored() -> None:
    world = World(table=None)
    with world.cache() as cache:
        assert not world.calculated(cache).is_new
        assert cache.look_up(RECORDING).found() is not None


def test_a_corrupt_row_is_ignored_and_logged_without_patient_data(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with world.cache() as cache:
        first = world.calculated(cache)
    assert world.table is not None
    world.table[first.key] = replace(to_row(first), features=bytes(4 * len(FEATURE_NAMES)))
    with caplog.at_level(logging.ERROR), world.cache() as cache:
        assert cache.look_up(RECORDING).found() is None
    assert world.outcomes[-1] is CacheOutcome.CORRUPT
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert vars(caplog.records[0])["key"] == first.key.hex()


def test_a_table_that_fails_costs_only_the_calculation() -> None:
    def fails(_: bytes) -> FeatureRow | None:
        raise StorageUnavailable("gone")

    world = World(find=fails)
    with world.cache() as cache:
        world.calculated(cache)
        assert cache.look_up(RECORDING).found() is not None, "memory needs no table"
    assert world.outcomes == [CacheOutcome.UNAVAILABLE, CacheOutcome.HIT_MEMORY]


def test_a_table_that_hangs_holds_up_one_recording_for_a_moment_and_the_next_ones_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "TABLE_SECONDS", 0.05)
    asked, answer = [], threading.Event()

    def hangs(key: bytes) -> FeatureRow | None:
        asked.append(key)
        answer.wait(10)
        return None

    world = World(find=hangs)
    with world.cache() as cache:
        world.calculated(cache)
        world.calculated(cache, replace(RECORDING, age=20.0))
        assert len(asked) == 1
        answer.set()
    assert world.outcomes == [CacheOutcome.UNAVAILABLE] * 2


def test_a_table_in_a_file_is_asked_by_the_lane_itself() -> None:
    asked: list[str] = []

    def find(key: bytes) -> FeatureRow | None:
        asked.append(threading.current_thread().name)
        return None

    for may_hang in (False, True):
        cache = MemoryAndTable(
            served=FakeServed, find=find, count=lambda _: None, limit=1, software="1.0", may_hang=may_hang
        )
        assert cache.look_up(RECORDING).found() is None
        cache.close()
    assert asked == [threading.current_thread().name, "features_0"]
