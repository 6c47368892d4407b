"""The tables that expectations are about. Every row has a name in the column ID, so that a report can give examples."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Any

import pandas as pd

from actions.intended_use import ADULT_AGE
from inference.labels import Superclass
from training.datasets.entry import Dropped, Entry, Split
from training.groups import AGE_GROUPS, SEXES
from training.validation.bias import GroupRates
from training.validation.copies import alike_across_splits, copies_of_each, splits_of_each
from training.validation.signals import SignalFacts

ID = "id"
ABNORMAL = tuple(c for c in Superclass if c is not Superclass.NORM)


class Table(StrEnum):
    """What the rows of a table are."""

    SPLITS = "splits"
    LISTED = "listed"  # what the data set's own tables list, usable or not
    RECORDINGS = "recordings"  # patients and demographics
    LABELLED = "labelled"  # recordings whose labels may be seen: the test split stays sealed
    SIGNALS = "signals"  # recordings whose samples were looked at
    READABLE = "readable"  # those of them that could be read
    CLASSES = "classes"  # superclasses in the training and validation splits of which anything is known
    GROUPS = "groups"  # of patients


@dataclass(frozen=True, slots=True)
class Sources:
    """What the tables are made of. labelled: entries of the training and validation splits. sealed: those of the test
    split, without labels. facts: of all recordings whose samples were looked at."""

    labelled: Sequence[Entry]
    sealed: Sequence[Entry]
    dropped: Sequence[Dropped]
    facts: Sequence[SignalFacts]
    groups: Sequence[GroupRates]


Rows = Iterable[dict[str, object]]


def tables(sources: Sources) -> dict[Table, Any]:
    """A pandas.DataFrame for each table; its columns are there even when it has no rows."""
    entries = (*sources.labelled, *sources.sealed)
    signals = _frame(_signals(sources.facts), COLUMNS[Table.SIGNALS])
    rows: dict[Table, Rows] = {
        Table.SPLITS: ({ID: s.value, "recordings": sum(e.split is s for e in entries)} for s in Split),
        Table.LISTED: _listed(entries, sources.dropped),
        Table.RECORDINGS: _recordings(entries),
        Table.LABELLED: (_labels(e) for e in sources.labelled),
        Table.CLASSES: _classes(sources.labelled),
        Table.GROUPS: _groups(sources.groups),
    }
    made = {table: _frame(of, COLUMNS[table]) for table, of in rows.items()}
    return {**made, Table.SIGNALS: signals, Table.READABLE: signals[signals["problem"] == ""].reset_index(drop=True)}


COLUMNS: dict[Table, dict[str, str]] = {
    Table.SPLITS: {"recordings": "int64"},
    Table.LISTED: {"usable": "bool"},
    Table.RECORDINGS: {
        "patient_id": "object",
        "wrong_types": "object",
        "patient_splits": "int64",
        "sex": "object",
        "known_sex": "bool",
        "age": "float64",
        "known_age": "bool",
        "adult": "bool",
    },
    Table.LABELLED: {"foreign_labels": "int64", "labels": "bool", "known_labels": "int64", "contradictory": "bool"},
    Table.SIGNALS: {
        "readable": "bool",
        "problem": "object",
        "sampling_rate": "float64",
        "duration": "float64",
        "peak": "float64",
        "invalid": "float64",
        "silent_leads": "int64",
        "usable": "bool",
        "clean": "bool",
        "splits_with_samples": "int64",
        "copies_in_split": "int64",
        "alike": "bool",
    },
    Table.CLASSES: {"train_positives": "float64", "val_positives": "float64", "rate": "float64"},
    Table.GROUPS: {"recordings": "int64"},
}


def _frame(rows: Rows, columns: dict[str, str]) -> Any:
    frame = pd.DataFrame(list(rows), columns=[ID, *columns])
    return frame.astype({ID: "object", **columns})


def _listed(entries: Sequence[Entry], dropped: Sequence[Dropped]) -> Rows:
    yield from ({ID: e.recording_id, "usable": True} for e in entries)
    yield from ({ID: d.recording_id, "usable": False} for d in dropped)


def _recordings(entries: Sequence[Entry]) -> Rows:
    splits = splits_of_each([e.patient_id for e in entries], [e.split for e in entries])
    for entry, patient_splits in zip(entries, splits, strict=True):
        age = float(entry.age) if isinstance(entry.age, int | float) else float("nan")
        yield {
            ID: entry.recording_id,
            "patient_id": entry.patient_id,
            "wrong_types": ", ".join(wrong_types(entry)),
            "patient_splits": patient_splits,
            "sex": str(entry.sex),
            "known_sex": entry.sex in SEXES,
            "age": age,
            "known_age": not math.isnan(age),
            "adult": not age < ADULT_AGE,
        }


# Sex and labels have vocabularies of their own.
TYPES: dict[str, type | UnionType] = {
    "recording_id": str,
    "patient_id": str,
    "split": Split,
    "age": int | float | None,
    "site": str | None,
    "device": str | None,
}


def wrong_types(entry: Entry) -> list[str]:
    """The fields of an entry that hold something else than they should: a table that was read without parsing it."""
    return [name for name, expected in TYPES.items() if not isinstance(getattr(entry, name), expected)]


def _labels(entry: Entry) -> dict[str, object]:
    present = {c for c, is_present in entry.labels.items() if is_present}
    return {
        ID: entry.recording_id,
        "foreign_labels": sum(label not in set(Superclass) for label in entry.labels),
        "labels": all(isinstance(value, bool) for value in entry.labels.values()),
        "known_labels": len(entry.labels),
        "contradictory": Superclass.NORM in present and not present.isdisjoint(ABNORMAL),
    }


def _classes(entries: Sequence[Entry]) -> Rows:
    for split in (Split.TRAIN, Split.VAL):
        for each in Superclass:
            known = [e.labels[each] for e in entries if e.split is split and each in e.labels]
            if known:
                name, positives = f"{split.value}/{each.value}", sum(known)
                yield {ID: name, f"{split.value}_positives": positives, "rate": positives / len(known)}


def _signals(facts: Sequence[SignalFacts]) -> Rows:
    keys, splits = [f.sha256 for f in facts], [f.split for f in facts]
    copied = zip(
        facts,
        splits_of_each(keys, splits),
        copies_of_each(keys, splits),
        alike_across_splits([f.signature for f in facts], splits),
        strict=True,
    )
    for fact, splits_with_samples, copies, alike in copied:
        yield {
            ID: fact.recording_id,
            "readable": not fact.problem,
            "problem": fact.problem,
            "sampling_rate": fact.sampling_rate,
            "duration": fact.duration,
            "peak": fact.peak,
            "invalid": fact.invalid,
            "silent_leads": fact.silent_leads,
            "usable": not fact.refused,
            "clean": fact.clean,
            "splits_with_samples": splits_with_samples,
            "copies_in_split": copies,
            # The same samples are told of on their own: only other renderings of a recording are meant here.
            "alike": alike and splits_with_samples == 1,
        }


def _groups(groups: Sequence[GroupRates]) -> Rows:
    """The groups that a fair model has to be judged in, also those that nobody is in."""
    sizes = {g.name: g.recordings for g in groups}
    names = (*(f"sex/{sex}" for sex in SEXES), *(f"age/{group}" for group in AGE_GROUPS))
    return ({ID: name, "recordings": sizes.get(name, 0)} for name in names)
