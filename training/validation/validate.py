"""Validation of a data set, from its tables and its samples."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from training.datasets.entry import Dropped, Entry, Split
from training.looks import Look
from training.validation.bias import group_rates
from training.validation.checking import check
from training.validation.expectations import expectations
from training.validation.limits import Limits
from training.validation.report import ValidationReport
from training.validation.signals import Progress, read_facts
from training.validation.tables import Sources, tables

# Which recordings are looked at is the same every time.
SEED = 0


class DataSet(Protocol):
    """What validation needs of a data set; `training.datasets.catalog.open_dataset` gives one."""

    @property
    def name(self) -> str:
        """Its kind."""
        ...

    @property
    def version(self) -> str:
        """Its release."""
        ...

    @property
    def dropped(self) -> Sequence[Dropped]:
        """Recordings that it lists but that cannot be used."""
        ...

    def entries(self, split: Split, *, look: Look | None = None) -> Sequence[Entry]:
        """The recordings of the training or the validation split."""
        ...

    def sealed_entries(self) -> Sequence[Entry]:
        """The recordings of the test split without their labels."""
        ...


def validate(
    dataset: DataSet,
    limits: Limits | None = None,
    *,
    sample: int | None = None,
    progress: Progress | None = None,
    at: datetime | None = None,
) -> ValidationReport:
    """Hold a data set against all suites.

    The labels of the test split are not read: of its recordings, patients and samples are compared with the other
    splits. sample: how many recordings to read at most, None for all; leaks are found among those only. progress: of
    reading them. at: the time of the report, now by default.

    Raises what the data set's tables raise when they cannot be read (OSError, ValueError). What is wrong with single
    recordings is in the report.
    """
    limits = limits or Limits()
    labelled = (*dataset.entries(Split.TRAIN), *dataset.entries(Split.VAL))
    sealed = tuple(dataset.sealed_entries())
    entries = (*labelled, *sealed)
    groups = group_rates(labelled, limits.min_group)
    facts = read_facts(_sampled(entries, sample), progress)
    found = check(expectations(limits), tables(Sources(labelled, sealed, dataset.dropped, facts, groups)))
    return ValidationReport(
        dataset=dataset.name,
        version=dataset.version,
        computed_at=at or datetime.now(UTC),
        recordings={s.value: sum(e.split is s for e in entries) for s in Split},
        looked_at=len(facts),
        limits=asdict(limits),
        findings=found,
        groups=groups,
    )


def _sampled(entries: Sequence[Entry], sample: int | None) -> Sequence[Entry]:
    if sample is None or sample >= len(entries):
        return entries
    chosen = np.sort(np.random.default_rng(SEED).choice(len(entries), sample, replace=False))
    return [entries[i] for i in chosen]
