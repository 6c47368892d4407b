from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest

from inference.features import FEATURE_NAMES
from inference.fingerprint import shape_hash
from inference.recording import Recording, Sex
from training import feature_files
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split, complete
from training.datasets.prepared import load_prepared
from training.datasets.ptbxl import read_index
from training.datasets.wfdb_file import wfdb_file
from training.datasets.window import Extracted, extract_features
from training.feature_files import FeatureFiles
from training.feature_store import FeatureStore, StoredFeatures, Updated, Wanted


@dataclass(frozen=True)
class Made:
    """Samples out of a number. Each reading is noted in the log."""

    number: int
    log: Path

    @property
    def key(self) -> str:
        return f"made:{self.number}"

    def read(self) -> Recording:
        with self.log.open("a") as file:
            file.write(f"{self.number}\n")
        signal = np.random.default_rng(self.number).normal(size=(12, 1000)).astype(np.float32)
        return Recording(signal=signal, sampling_rate=100.0)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """A shard and a bit."""
    log = tmp_path / "read.log"
    log.touch()
    return [
        Entry(
            dataset="made",
            recording_id=str(number),
            patient_id=f"p{number}",
            split=Split.TRAIN if number % 2 else Split.VAL,
            labels=complete(frozenset()),
            source=Made(number, log),
            age=float(number),
            sex=Sex.FEMALE if number % 3 else Sex.MALE,
        )
        for number in range(70)
    ]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def reads(entries: Sequence[Entry]) -> list[int]:
    source = entries[0].source
    assert isinstance(source, Made)
    return [int(line) for line in source.log.read_text().split()]


def rows(found: StoredFeatures) -> dict[str, bytes]:
    return dict(zip(found.recording_ids.tolist(), map(np.ndarray.tobytes, found.features), strict=True))


def fill_with(files: FeatureFiles, entries: Sequence[Entry], value: float) -> None:
    made = np.full(len(FEATURE_NAMES), value, np.float32)
    with files.appending():
        files.add(entries, dict.fromkeys(range(len(entries)), Extracted(100.0, made)))


def test_the_features_of_real_recordings_come_back_bit_for_bit(small_ptbxl: Path, store: FeatureStore) -> None:
    real = read_index(small_ptbxl, Split.VAL)
    assert store.update(real) == Updated(added=len(real), present=0, dropped=())
    found = store.read("ptbxl")
    assert rows(found) == {e.recording_id: extract_features(e.read()).tobytes() for e in real}
    assert found.recording_ids.tolist() == [e.recording_id for e in real]
    assert set(found.sampling_rates.tolist()) == {100.0}
    assert np.isnan(found.features).any()


def test_every_nan_keeps_its_bits(entries: list[Entry], store: FeatureStore) -> None:
    made = np.full(len(FEATURE_NAMES), np.nan, np.float32)
    made[:3] = np.array([0x7FC00001, 0xFFC00000, 0x80000000], "<u4").view("<f4")
    files = store.files("made")
    with files.appending():
        files.add(entries[:1], {0: Extracted(100.0, made)})
    assert store.read("made").features[0].tobytes() == made.tobytes()
    assert store.files("made").find(entries[:2])[0].tobytes() == made.tobytes()


def test_only_what_is_missing_is_read(entries: list[Entry], store: FeatureStore) -> None:
    assert store.update(entries[:20]).added == 20
    counts: list[tuple[int, int]] = []
    assert store.update(entries, progress=lambda *count: counts.append(count)) == Updated(50, 20, ())
    assert store.update(entries) == Updated(0, 70, ())
    assert reads(entries) == list(range(70))
    assert counts == [(70, 70)]


def test_an_interruption_costs_only_what_is_under_way(entries: list[Entry], store: FeatureStore) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.update(entries, progress=stop)
    assert len(store.files("made")) == 64
    assert store.update(entries).added == 6
    assert len(store.read("made")) == 70


def test_files_appear_whole(entries: list[Entry], store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_files, "ROWS_PER_FILE", 40)
    store.update(entries)
    folder = store.partition("made")
    # What a power cut leaves.
    (folder / ".part-00002.parquet").write_bytes((folder / "part-00000.parquet").read_bytes()[:999])
    parts = [f"part-{number:05d}.parquet" for number in range(3)]
    assert sorted(path.name for path in folder.glob("part-*")) == parts[:2]
    assert len(store.read("made")) == 70
    assert store.update([replace(entries[0], age=50.5)]).added == 1
    assert sorted(path.name for path in folder.glob("part-*")) == parts
    assert len(pd.read_parquet(folder)) == 71


def test_several_processes_extract_the_same_in_the_same_order(small_ptbxl: Path, tmp_path: Path) -> None:
    real = read_index(small_ptbxl, Split.TRAIN)
    alone, together = (FeatureStore(tmp_path / name) for name in ("alone", "together"))
    alone.update(real)
    together.update(real, workers=2)
    assert rows(alone.read("ptbxl")) == rows(together.read("ptbxl"))
    assert list(rows(together.read("ptbxl"))) == [e.recording_id for e in real]


def test_two_who_update_at_once_leave_each_row_once(entries: list[Entry], store: FeatureStore) -> None:
    threads = [Thread(target=store.update, args=(entries,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(batch) for batch in store.batches("made")) == 70
    assert len(store.files("made")) == 70


def test_a_corrected_age_makes_a_later_row_which_is_the_one_that_is_read(
    entries: list[Entry], store: FeatureStore
) -> None:
    store.update(entries[:2])
    store.update([replace(entries[0], age=33.0), entries[1]])
    assert sum(len(batch) for batch in store.batches("made")) == 3
    found = store.read("made")
    assert dict(zip(found.recording_ids.tolist(), found.features[:, -3].tolist(), strict=True)) == {"0": 33.0, "1": 1.0}


def test_the_same_recording_at_another_rate_is_a_row_of_its_own(ptbxl: Path, store: FeatureStore) -> None:
    found = open_dataset("ptbxl", ptbxl).training_entries()
    both = [e for e in found if e.recording_id == found[-1].recording_id]
    store.update(both)
    assert sorted(store.read("ptbxl").sampling_rates.tolist()) == [100.0, 500.0]
    assert len(store.read("ptbxl", Wanted(sampling_rate=100.0))) == 1


def test_rows_can_be_chosen(entries: list[Entry], store: FeatureStore) -> None:
    store.update(entries[:9])
    assert store.read("made", Wanted(splits=[Split.VAL])).recording_ids.tolist() == ["0", "2", "4", "6", "8"]
    assert store.read("made", Wanted(splits=[Split.VAL], sexes=[Sex.MALE])).recording_ids.tolist() == ["0", "6"]
    assert store.read("made", Wanted(recording_ids=["8", "3"])).recording_ids.tolist() == ["3", "8"]
    assert len(store.read("made", Wanted(sampling_rate=500.0))) == 0
    assert store.read("other").features.shape == (0, len(FEATURE_NAMES))


def test_what_cannot_be_read_has_no_row_and_is_tried_again(
    entries: list[Entry], store: FeatureStore, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.hea"
    broken.write_text("no header")
    asked = [entries[0], replace(entries[1], source=wfdb_file(broken))]
    done = store.update(asked)
    assert (done.added, [d.recording_id for d in done.dropped]) == (1, ["1"])
    assert store.update(asked).dropped == done.dropped
    assert store.update([]) == Updated(0, 0, ())


def test_the_sealed_test_split_has_features_and_nothing_has_labels(small_ptbxl: Path, store: FeatureStore) -> None:
    sealed = open_dataset("ptbxl", small_ptbxl).sealed_entries()
    store.update(sealed)
    frame = pd.read_parquet(store.partition("ptbxl"))
    assert set(frame["split"]) == {"test"}
    known = {
        "key",
        "recording_id",
        "patient_id",
        "split",
        "patient_age",
        "patient_sex",
        "sampling_rate",
        *FEATURE_NAMES,
    }
    assert set(frame.columns) == known
    assert len(frame) == len(sealed)


def test_pandas_reads_the_whole_store_as_one_partitioned_table(
    entries: list[Entry], small_ptbxl: Path, tmp_path: Path
) -> None:
    store = FeatureStore(tmp_path / "features")
    store.update(entries[:3])
    store.update(read_index(small_ptbxl, Split.VAL))
    frame = pd.read_parquet(tmp_path / "features")
    counted = frame.groupby(["dataset", "version", "shape"], observed=True).size()
    assert counted.to_dict() == {
        ("made", "unversioned", shape_hash()[:16]): 3,
        ("ptbxl", "1.0.3", shape_hash()[:16]): 8,
    }
    assert frame["heart_rate"].dtype == np.float32


def test_prepared_arrays_take_their_features_from_the_store(
    entries: list[Entry], store: FeatureStore, tmp_path: Path
) -> None:
    fill_with(store.files("made"), entries[:3], 7.0)
    data = load_prepared(entries[:5], tmp_path / "cache", features=store)
    assert (data.features[:3] == 7.0).all()
    np.testing.assert_array_equal(data.features[4], extract_features(entries[4].read()))


@pytest.mark.parametrize("workers", [0, 1])
def test_prepared_arrays_add_to_the_store_what_it_lacks(entries: list[Entry], tmp_path: Path, workers: int) -> None:
    data = load_prepared(entries, tmp_path / "cache", workers=workers)
    store = FeatureStore(tmp_path / "features")
    assert store.update(entries) == Updated(0, 70, ())
    assert rows(store.read("made")) == dict(
        zip(data.recording_ids.tolist(), (row.tobytes() for row in np.asarray(data.features)), strict=True)
    )


def test_batches_are_small_however_many_rows_there_are(entries: list[Entry], store: FeatureStore) -> None:
    files = store.files("made")
    for block in range(40):
        fill_with(files, [replace(e, recording_id=f"{block}-{e.recording_id}") for e in entries], float(block))
    sizes = [len(batch) for batch in store.batches("made")]
    assert sum(sizes) == 40 * 70
    assert max(sizes) <= 1024
