"""A data set whose index was read once. Here, and nowhere else, is decided who gets which split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from training.datasets.entry import Dropped, Entry, Split
from training.looks import Look


@dataclass(frozen=True, slots=True)
class Index:
    """What the tables of a data set say. entries: of all splits, in a stable order, one a recording.

    repeats: the same recordings at another sampling rate; training may use both, scores count each recording once.
    dropped: recordings that cannot be used, as far as the tables and headers show it.
    """

    entries: tuple[Entry, ...]
    repeats: tuple[Entry, ...] = ()
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True)
class IndexedDataSet:
    """A data set in a folder. It is indexed on first use, from tables and headers: no samples are read.

    scan: reads the index of a folder. external: whether all of it may check models that were trained on other data.
    curated: whether every recording can be used, so that one that cannot is an error and nothing to leave out.
    """

    name: str
    version: str
    folder: Path
    scan: Callable[[Path], Index]
    external: bool = True
    curated: bool = False

    @cached_property
    def _index(self) -> Index:
        return self.scan(self.folder)

    def entries(self, split: Split, *, look: Look | None = None) -> Sequence[Entry]:
        """The recordings of one split, each once.

        Raises PermissionError for the test split without an open look, OSError when the tables cannot be read,
        ValueError when they contradict the layout.
        """
        if split is Split.TEST and (look is None or not look.open):
            raise PermissionError("the test split is read by training.evaluate only, which records each look")
        return self._of(self._index.entries, split)

    def training_entries(self) -> Sequence[Entry]:
        """The training split with its repeats. Raises ValueError when there are none, and what `entries` raises."""
        found = (*self._of(self._index.entries, Split.TRAIN), *self._of(self._index.repeats, Split.TRAIN))
        if not found:
            raise ValueError(f"{self.folder}: no training recordings")
        return found

    def external_entries(self) -> Sequence[Entry]:
        """All recordings, as an external check of a model that was trained on other data; no look is needed.

        Raises PermissionError for PTB-XL, which the released models learn from, and what `entries` raises.
        """
        if not self.external:
            raise PermissionError(f"{self.name} is no external data: released models are trained on it")
        return self._index.entries

    def sealed_entries(self) -> Sequence[Entry]:
        """The test split without its labels: for who and what is in it, which needs no look. Raises what `entries`
        raises."""
        return tuple(replace(e, labels={}) for e in self._of(self._index.entries, Split.TEST))

    @property
    def dropped(self) -> Sequence[Dropped]:
        """Recordings that the data set lists but that cannot be used."""
        return self._index.dropped

    @staticmethod
    def _of(entries: Sequence[Entry], split: Split) -> tuple[Entry, ...]:
        return tuple(e for e in entries if e.split is split)
