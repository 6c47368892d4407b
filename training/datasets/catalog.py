"""The data sets that can be trained on or checked against, by kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.datasets import chapman, code15, cohort, ptbxl
from training.datasets.entry import Entry, Split
from training.datasets.indexed import Index, IndexedDataSet
from training.looks import Look


class DataSet(Protocol):
    """What training, validation and evaluation need of a data set."""

    @property
    def name(self) -> str:
        """Its kind, a key of `KINDS`."""
        ...

    @property
    def version(self) -> str:
        """The release whose layout is read."""
        ...

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...

    def entries(self, split: Split, *, look: Look | None = None) -> Sequence[Entry]:
        """The recordings of one split. Raises PermissionError for the test split without an open look."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of data set is read. external, curated: see `IndexedDataSet`."""

    title: str
    version: str
    scan: Callable[[Path], Index]
    external: bool = True
    curated: bool = False


KINDS = {
    ptbxl.NAME: Kind("PTB-XL", ptbxl.VERSION, ptbxl.scan, external=False, curated=True),
    code15.NAME: Kind("CODE-15%", code15.VERSION, code15.scan),
    chapman.NAME: Kind("Chapman-Shaoxing-Ningbo", chapman.VERSION, chapman.scan),
    cohort.NAME: Kind("a hospital's own cohort", cohort.VERSION, cohort.scan),
}


def open_dataset(kind: str, folder: Path) -> IndexedDataSet:
    """The data set of a kind in a folder; nothing is read before its first use.

    Raises ValueError for a kind that is not in `KINDS`, FileNotFoundError when there is no such folder.
    """
    if kind not in KINDS:
        raise ValueError(f"no data set {kind!r}; known are {', '.join(KINDS)}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    found = KINDS[kind]
    return IndexedDataSet(kind, found.version, folder.resolve(), found.scan, found.external, found.curated)
