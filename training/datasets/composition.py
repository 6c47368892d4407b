"""Who and what is in a data set, in counts that a card can keep: no recording and no patient can be told from them.

Of the test split age, sex, site and device are counted, never a label: no look is needed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from inference.labels import Superclass
from training.datasets.entry import Entry, Split
from training.datasets.indexed import IndexedDataSet
from training.validation.bias import ATTRIBUTES

COUNTED = ("sex", "age", "site", "device")


def composition(data_set: IndexedDataSet) -> dict[str, Any]:
    """JSON: ids, counts of each split, and how many recordings are left out for which reason. Raises what
    `IndexedDataSet.entries` raises."""
    splits: Mapping[Split, Sequence[Entry]] = {
        Split.TRAIN: data_set.entries(Split.TRAIN),
        Split.VAL: data_set.entries(Split.VAL),
        Split.TEST: data_set.sealed_entries(),
    }
    ids = sorted((e.recording_id for entries in splits.values() for e in entries), key=_in_order)
    training = data_set.training_entries()
    return {
        "version": data_set.version,
        "ids": {"first": ids[0], "last": ids[-1]},
        "splits": {split.value: _split(entries) for split, entries in splits.items()},
        "training_repeats": len(training) - len(splits[Split.TRAIN]),
        "left_out": dict(Counter(dropped.reason for dropped in data_set.dropped)),
    }


def _split(entries: Sequence[Entry]) -> dict[str, Any]:
    ages = [e.age for e in entries if e.age is not None]
    counted = {name: _by_size(str(ATTRIBUTES[name](entry)) for entry in entries) for name in COUNTED}
    found: dict[str, Any] = {
        "recordings": len(entries),
        "patients": len({e.patient_id for e in entries}),
        **counted,
        "age_years": {"lowest": min(ages), "median": median(ages), "highest": max(ages)} if ages else None,
    }
    if any(e.labels for e in entries):
        found["classes"] = {
            c.value: {
                "known": sum(c in e.labels for e in entries),
                "positives": sum(e.labels.get(c, False) for e in entries),
            }
            for c in Superclass
        }
    return found


def _by_size(names: Any) -> dict[str, int]:
    counts = Counter(names)
    return {name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name))}


def _in_order(id: str) -> tuple[int, str]:
    """Numbers as numbers."""
    return (int(id) if id.isdecimal() else 0, id)
