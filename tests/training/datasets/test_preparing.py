import gc
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from inference.recording import Recording
from tests.training.datasets.code15_folder import tracing, write_repeated
from training.datasets import preparing
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split, complete
from training.datasets.prepared import load_prepared
from training.datasets.preparing import JOURNAL_FILE, SHARD_SIZE, SIGNALS_FILE, fill, read_journal
from training.datasets.ptbxl import read_index

ROW_BYTES = 4 * 12 * 5000


@dataclass(frozen=True)
class Reading:
    """A source that notes in a file that it was read."""

    number: int
    recording: Path
    log: Path

    @property
    def key(self) -> str:
        return f"{self.recording}:{self.number}"

    def read(self) -> Recording:
        with self.log.open("a") as file:
            file.write(f"{self.number}\n")
        return Recording(signal=np.load(self.recording), sampling_rate=500)


@pytest.fixture
def entries(recordings: tuple[Recording, ...], tmp_path: Path) -> list[Entry]:
    """Three shards, the last of them small, of eight real recordings in turn."""
    log = tmp_path / "read.log"
    log.touch()
    for number, recording in enumerate(recordings):
        np.save(tmp_path / f"{number}.npy", recording.signal)
    return [
        Entry(
            dataset="d",
            recording_id=str(number),
            patient_id=str(number),
            split=Split.TRAIN,
            labels=complete(frozenset()),
            source=Reading(number, tmp_path / f"{number % len(recordings)}.npy", log),
        )
        for number in range(2 * SHARD_SIZE + 5)
    ]


def reads(entries: list[Entry]) -> list[int]:
    source = entries[0].source
    assert isinstance(source, Reading)
    return [int(line) for line in source.log.read_text().split()]


class Stopped(BaseException):
    """What Ctrl-C is to a program."""


def stop_after(recordings: int) -> preparing.Progress:
    def progress(done: int, total: int) -> None:
        if done >= recordings:
            raise Stopped

    return progress


def test_what_was_prepared_is_not_read_again_after_an_interruption(entries: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        load_prepared(entries, tmp_path / "cache", stop_after(SHARD_SIZE))
    first = reads(entries)
    assert first == list(range(SHARD_SIZE))
    data = load_prepared(entries, tmp_path / "cache")
    assert reads(entries) == list(range(len(entries)))
    whole = load_prepared(entries, tmp_path / "other")
    np.testing.assert_array_equal(data.signals, whole.signals)
    np.testing.assert_array_equal(data.features, whole.features)


def test_rows_that_the_journal_does_not_know_are_written_anew(entries: list[Entry], tmp_path: Path) -> None:
    """As a power cut leaves it: half a shard behind the last one in the journal, and half a line in the journal."""
    folder = tmp_path / "arrays"
    with pytest.raises(Stopped):
        fill(entries, folder, workers=0, drop_unusable=False, progress=stop_after(SHARD_SIZE))
    partial = folder.with_suffix(".partial")
    with (partial / SIGNALS_FILE).open("ab") as file:
        file.write(b"\x7f" * (ROW_BYTES * 3 // 2))
    with (partial / JOURNAL_FILE).open("a") as file:
        file.write('{"entries": 128, "ro')
    fill(entries, folder, workers=0, drop_unusable=False, progress=None)
    assert (folder / SIGNALS_FILE).stat().st_size == len(entries) * ROW_BYTES
    assert read_journal(folder).entries == read_journal(folder).rows == len(entries)
    assert np.isfinite(np.fromfile(folder / SIGNALS_FILE, np.float32)).all()


def fill_alone(entries: list[Entry], folder: Path) -> None:
    fill(entries, folder, workers=0, drop_unusable=False, progress=None)


def test_a_killed_process_leaves_what_the_next_one_goes_on_from(entries: list[Entry], tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    process = multiprocessing.get_context("spawn").Process(target=fill_alone, args=(entries, folder))
    process.start()
    journal = folder.with_suffix(".partial") / JOURNAL_FILE
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = read_journal(journal.parent).entries
    assert 0 < done < len(entries)
    before = len(reads(entries))
    fill_alone(entries, folder)
    assert reads(entries)[before:] == list(range(done, len(entries)))
    assert read_journal(folder).rows == len(entries)


def test_several_processes_give_the_same_arrays_in_the_same_order(ptbxl: Path, tmp_path: Path) -> None:
    entries = read_index(ptbxl, Split.VAL)[: SHARD_SIZE + 10]
    counts: list[tuple[int, int]] = []
    alone = load_prepared(entries, tmp_path / "alone")
    together = load_prepared(entries, tmp_path / "together", lambda *count: counts.append(count), workers=2)
    np.testing.assert_array_equal(alone.signals, together.signals)
    np.testing.assert_array_equal(alone.features, together.features)
    assert counts == [(SHARD_SIZE, len(entries)), (len(entries), len(entries))]


def test_an_error_in_another_process_is_raised_here(entries: list[Entry], tmp_path: Path) -> None:
    asked = [*entries[:2], replace(entries[2], source=Reading(2, tmp_path / "gone.npy", tmp_path / "read.log"))]
    with pytest.raises(FileNotFoundError, match="gone"):
        load_prepared(asked, tmp_path / "cache", workers=1)


def test_two_who_ask_at_once_prepare_once(entries: list[Entry], tmp_path: Path) -> None:
    folder = tmp_path / "arrays"

    def ask() -> None:
        fill(entries[:SHARD_SIZE], folder, workers=0, drop_unusable=False, progress=None)

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reads(entries)) == list(range(SHARD_SIZE))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows_of_an_hdf5_file(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """The same over 50,000 rows: `python -m tests.soak.streaming`, whose figures are in docs/datasets.md."""
    rows = 8 * SHARD_SIZE
    write_repeated(tmp_path, [tracing(recording) for recording in recordings], rows)
    entries = open_dataset("code15", tmp_path).external_entries()
    used: list[int] = []

    def progress(done: int, total: int) -> None:
        gc.collect()
        used.append(own_memory())

    load_prepared(entries, tmp_path / "cache", progress)
    assert len(used) == 8
    # A shard is 15 MB of signal, all rows are 123 MB.
    assert max(used[2:]) - used[1] < 15 << 20


def own_memory() -> int:
    """Bytes that this process alone holds; what is mapped from files is not among them."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) << 10
