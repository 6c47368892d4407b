"""One recording of a data set: what the tables say about it, and where its samples lie.

Entries are light (no samples), hashable and can be sent to another process, so that a data set of any size is an
ordinary sequence of them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from inference.labels import Superclass
from inference.recording import Recording, Sex


class Split(StrEnum):
    """What a recording may be used for. All recordings of a patient are in one split."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Source(Protocol):
    """Where the samples of one recording lie: a small frozen value."""

    @property
    def key(self) -> str:
        """Names the samples: another file, row or version of the file has another key."""
        ...

    def read(self) -> Recording:
        """The recording. Raises `inference.errors.EcgError` when the samples cannot be used, OSError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One recording. recording_id and patient_id: as in the data set, unique within it.

    labels: what is known; a superclass that is absent is UNKNOWN, which is neither present nor excluded.
    age: years, None where unknown. site, device: as the data set names them, None where unknown.
    """

    dataset: str
    recording_id: str
    patient_id: str
    split: Split
    labels: Mapping[Superclass, bool] = field(hash=False)
    source: Source
    age: float | None = None
    sex: Sex = Sex.UNKNOWN
    site: str | None = None
    device: str | None = None

    def read(self) -> Recording:
        """The recording, with age and sex of the index. Raises what its source raises."""
        return replace(self.source.read(), age=self.age, sex=self.sex)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A recording that a data set lists but that cannot be used, and why in a few words."""

    recording_id: str
    reason: str


# Of ten patients eight train, one validates, one tests: the proportions of PTB-XL's official folds.
HASHED_SPLITS = (*[Split.TRAIN] * 8, Split.VAL, Split.TEST)


def split_of(dataset: str, patient_id: str) -> Split:
    """The split of a patient in a data set without official folds.

    It depends on nothing but the two names, so that recordings which are added later move nobody.
    """
    digest = hashlib.sha256(f"{dataset}/{patient_id}".encode()).digest()
    return HASHED_SPLITS[int.from_bytes(digest[:8]) % len(HASHED_SPLITS)]


def complete(present: frozenset[Superclass]) -> dict[Superclass, bool]:
    """The labels of a recording about which everything is known."""
    return {c: c in present for c in Superclass}
