"""Data sets for the tests of validation: real recordings, with what a test alters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.labels import Superclass
from inference.recording import Recording, Sex
from tests.inference.ecg_files import read, stems
from training.datasets.entry import Dropped, Entry, Split, complete
from training.datasets.indexed import Index, IndexedDataSet
from training.validation.limits import Limits

SIZES = {Split.TRAIN: 36, Split.VAL: 12, Split.TEST: 12}
SIZE = sum(SIZES.values())

# What a set of this size can fulfil.
LIMITS = Limits(
    min_train_positives=4, min_val_positives=2, min_group=4, max_unlabelled=0.1, max_unknown_demographics=0.2
)

Entries = list[Entry]


@dataclass(frozen=True, slots=True)
class Held:
    """A recording in memory as the source of an entry."""

    recording: Recording

    @property
    def key(self) -> str:
        return str(id(self.recording))

    def read(self) -> Recording:
        return self.recording


@dataclass(frozen=True, slots=True)
class Failing:
    """A source that cannot be read."""

    error: Exception

    @property
    def key(self) -> str:
        return repr(self.error)

    def read(self) -> Recording:
        raise self.error


def healthy(shared_data: Path) -> tuple[Entry, ...]:
    """SIZE recordings that fulfil every expectation within LIMITS. The signals are real; who has them and what they
    show is laid out so that each group and class is there. None of them is in PTB-XL's test fold."""
    splits = [split for split, size in SIZES.items() for _ in range(size)]
    recordings = [read(stem) for stem in stems(shared_data, "filename_lr")[:SIZE]]
    return tuple(_entry(i, split, r) for i, (split, r) in enumerate(zip(splits, recordings, strict=True)))


def _entry(number: int, split: Split, recording: Recording) -> Entry:
    return Entry(
        dataset="altered",
        recording_id=f"R{number}",
        patient_id=f"P{number}",
        split=split,
        labels=complete(frozenset({list(Superclass)[number % 5]})),
        source=Held(recording),
        age=(30, 50, 70, 85)[number % 4],
        sex=(Sex.FEMALE, Sex.MALE)[number % 2],
        site=f"site {number % 3}",
        device="MAC 2000",
    )


def data_set(entries: Sequence[Entry], dropped: Sequence[Dropped] = ()) -> IndexedDataSet:
    """These entries behind the door that every data set has."""
    index = Index(tuple(entries), dropped=tuple(dropped))
    return IndexedDataSet("altered", "1", Path(), lambda _: index)


def recording_of(entry: Entry) -> Recording:
    """What a `Held` holds."""
    assert isinstance(entry.source, Held)
    return entry.source.recording


def with_signal(entry: Entry, change: Callable[[NDArray[np.float32]], NDArray[np.float32]], rate: float = 100) -> Entry:
    """The entry with another signal."""
    signal = np.ascontiguousarray(change(recording_of(entry).signal.copy()), np.float32)
    return replace(entry, source=Held(Recording(signal, rate)))


def changed(entries: Entries, number: int, **fields: Any) -> Entries:
    """The entries with some fields of one of them changed, whatever their types."""
    return [replace(e, **fields) if i == number else e for i, e in enumerate(entries)]
