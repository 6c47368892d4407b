"""Preparing recordings into arrays on disk: in parallel, shard by shard, and going on where it was stopped.

Other processes read and prepare; this one alone writes, in the order of the entries, and notes every shard in a
journal after its arrays are on disk. So memory holds a few shards, however many recordings there are, and after a
crash the arrays are cut back to the last shard in the journal.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

from inference.features import FEATURE_NAMES
from inference.prepare import MODEL_SAMPLES
from inference.recording import LEADS
from training.datasets.entry import Dropped, Entry
from training.datasets.parallel import in_order
from training.datasets.window import Shard, ShardOrder, prepare_shard
from training.feature_files import FeatureFiles

Progress = Callable[[int, int], None]  # recordings done, recordings in all

SIGNALS_FILE = "signals.f32"
FEATURES_FILE = "features.f32"
JOURNAL_FILE = "journal.jsonl"

SHARD_SIZE = 64  # recordings: 15 MB of signal, half a second of work


@dataclass(frozen=True, slots=True)
class Done:
    """How far preparing came. rows: in the arrays. dropped: place among the entries, and why."""

    entries: int = 0
    rows: int = 0
    dropped: tuple[tuple[int, Dropped], ...] = ()


def fill(
    entries: Sequence[Entry],
    folder: Path,
    *,
    workers: int,
    drop_unusable: bool,
    progress: Progress | None,
    store: FeatureFiles | None = None,
) -> None:
    """Prepare `entries` into `folder`, which appears when all are done; `<folder>.partial` holds what is done so far.

    Only one process fills a folder, others wait for it. workers: processes beside this one, 0 for none. store: where
    features are taken from, and where those that are missing are added. Raises what reading raises, unless
    `drop_unusable`; what is done by then is kept.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if folder.is_dir():
            return
        partial = folder.with_suffix(".partial")
        partial.mkdir(exist_ok=True)
        with store.appending() if store is not None else nullcontext():
            _continue(entries, partial, workers, drop_unusable, progress, store)
        os.replace(partial, folder)


def read_journal(folder: Path) -> Done:
    """What a folder holds. A last line that was cut off by a crash does not count."""
    done = Done()
    path = folder / JOURNAL_FILE
    for line in path.read_text().splitlines(keepends=True) if path.exists() else ():
        if line.endswith("\n"):
            values = json.loads(line)
            dropped = tuple((place, Dropped(name, reason)) for place, name, reason in values["dropped"])
            done = Done(values["entries"], values["rows"], done.dropped + dropped)
    return done


def _continue(
    entries: Sequence[Entry],
    partial: Path,
    workers: int,
    drop_unusable: bool,
    progress: Progress | None,
    store: FeatureFiles | None,
) -> None:
    done = read_journal(partial)
    orders = _orders(entries[done.entries :], drop_unusable, store)
    with _arrays(partial, done.rows) as (signals, features, journal):
        for order, shard in in_order(prepare_shard, orders, workers):
            if store is not None:
                store.add(order.entries, shard.extracted)
            done = _append(shard, done, signals, features)
            _note(journal, done, len(shard.dropped))
            if progress is not None:
                progress(done.entries, len(entries))


def _append(shard: Shard, done: Done, signals: BufferedRandom, features: BufferedRandom) -> Done:
    for file, array in ((signals, shard.signals), (features, shard.features)):
        file.write(array.data)
        file.flush()
        os.fsync(file.fileno())
    dropped = tuple((done.entries + place, why) for place, why in shard.dropped)
    return Done(done.entries + shard.entries, done.rows + len(shard.signals), done.dropped + dropped)


def _note(journal: BufferedRandom, done: Done, new: int) -> None:
    dropped = [[place, why.recording_id, why.reason] for place, why in done.dropped[len(done.dropped) - new :]]
    journal.write(json.dumps({"entries": done.entries, "rows": done.rows, "dropped": dropped}).encode() + b"\n")
    journal.flush()
    os.fsync(journal.fileno())


@contextmanager
def _arrays(partial: Path, rows: int) -> Iterator[tuple[BufferedRandom, BufferedRandom, BufferedRandom]]:
    """The three files, each cut to what the journal vouches for, at their ends."""
    row_bytes = {SIGNALS_FILE: 4 * len(LEADS) * MODEL_SAMPLES, FEATURES_FILE: 4 * len(FEATURE_NAMES)}
    for name, size in row_bytes.items():
        path = partial / name
        path.touch()
        os.truncate(path, rows * size)
    _cut_last_line(partial / JOURNAL_FILE)
    with (
        (partial / SIGNALS_FILE).open("r+b") as signals,
        (partial / FEATURES_FILE).open("r+b") as features,
        (partial / JOURNAL_FILE).open("r+b") as journal,
    ):
        for file in (signals, features, journal):
            file.seek(0, os.SEEK_END)
        yield signals, features, journal


def _cut_last_line(journal: Path) -> None:
    """Take away a line that a crash left unfinished."""
    journal.touch()
    text = journal.read_bytes()
    os.truncate(journal, text.rfind(b"\n") + 1)


def _orders(entries: Sequence[Entry], drop_unusable: bool, store: FeatureFiles | None) -> Iterator[ShardOrder]:
    for start in range(0, len(entries), SHARD_SIZE):
        part = entries[start : start + SHARD_SIZE]
        yield ShardOrder(part, drop_unusable, store.find(part) if store is not None else {})


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
