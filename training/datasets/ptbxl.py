"""PTB-XL in its official layout (Wagner et al., Sci Data 7:154, 2020; PhysioNet 1.0.3).

    ptbxl_database.csv    one row per recording: patient_id, age, sex, scp_codes, strat_fold, ...
    scp_statements.csv    SCP code -> diagnostic superclass
    records100/, records500/    WFDB

A folder may bring `superclass_labels.csv` (ecg_id, filename_lr, filename_hr, split and one 0/1 column per superclass)
instead of, or besides, the two official tables; it then decides on labels and splits, and the database adds what it
knows of the patient. Folds 1 to 8 train, 9 validates, 10 tests, as its authors recommend: no patient is in two of them.
"""

import ast
import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.entry import Dropped, Entry, Split, complete
from training.datasets.indexed import Index, IndexedDataSet
from training.datasets.wfdb_file import wfdb_file
from training.looks import Look

NAME = "ptbxl"
VERSION = "1.0.3"

LABELS_FILE = "superclass_labels.csv"
DATABASE_FILE = "ptbxl_database.csv"
STATEMENTS_FILE = "scp_statements.csv"

# Ages over 89 are stored as 300, to protect the few who reach them.
HIDDEN_AGE = 300.0
AGE_OF_HIDDEN = 90.0

SEXES = {"0": Sex.MALE, "1": Sex.FEMALE}

SPLIT_OF_FOLD = {**dict.fromkeys(range(1, 9), Split.TRAIN), 9: Split.VAL, 10: Split.TEST}


class Rate(StrEnum):
    """The two sampling rates that every recording comes in; the value is the column of its file name."""

    HZ100 = "filename_lr"
    HZ500 = "filename_hr"


def scan(folder: Path) -> Index:
    """Every recording once, at 100 Hz where that file is there; `repeats` has its 500 Hz file if both are.

    Raises FileNotFoundError when the tables are absent.
    """
    entries, repeats, dropped = [], [], []
    for row in _sorted_rows(folder):
        found = [_entry(folder, row, rate) for rate in Rate if _header(folder, row, rate).is_file()]
        if found:
            entries.append(found[0])
            repeats += found[1:]
        else:
            dropped.append(Dropped(row["ecg_id"], "its files are absent"))
    return Index(tuple(entries), tuple(repeats), tuple(dropped))


def read_index(folder: Path, split: Split, rate: Rate = Rate.HZ100, *, look: Look | None = None) -> tuple[Entry, ...]:
    """The recordings of one split whose files at this rate are there, by ecg_id. Nothing but tables is read.

    Raises PermissionError for the test split without an open look, FileNotFoundError when the tables are absent.
    """
    return tuple(at_rate(folder, rate).entries(split, look=look))


def at_rate(folder: Path, rate: Rate) -> IndexedDataSet:
    """The data set with the files of one rate only."""
    return IndexedDataSet(NAME, VERSION, folder, lambda at: _scan_rate(at, rate), external=False, curated=True)


def at_best_rate(folder: Path, read: Callable[[IndexedDataSet], Sequence[Entry]]) -> tuple[Entry, ...]:
    """What `read` takes of the data set, each recording once: at 500 Hz where that file is there."""
    return tuple({e.recording_id: e for rate in Rate for e in read(at_rate(folder, rate))}.values())


def unseen(folder: Path) -> tuple[Entry, ...]:
    """What no model is trained on, at the best rate: the validation fold, and the test fold without its labels."""
    return at_best_rate(folder, lambda data: (*data.entries(Split.VAL), *data.sealed_entries()))


def _scan_rate(folder: Path, rate: Rate) -> Index:
    rows = (row for row in _sorted_rows(folder) if _header(folder, row, rate).is_file())
    return Index(tuple(_entry(folder, row, rate) for row in rows))


def _header(folder: Path, row: Mapping[str, str], rate: Rate) -> Path:
    return folder / f"{row[rate]}.hea"


def _entry(folder: Path, row: Mapping[str, str], rate: Rate) -> Entry:
    return Entry(
        dataset=NAME,
        recording_id=row["ecg_id"],
        # A row that the database lacks names no patient; its official fold still keeps his recordings together.
        patient_id=_whole(row.get("patient_id", "")) or f"ecg_id {row['ecg_id']}",
        split=Split(row["split"]),
        labels=complete(frozenset(c for c in Superclass if row[c] == "1")),
        source=wfdb_file(_header(folder, row, rate)),
        age=_age(row.get("age", "")),
        sex=SEXES.get(row.get("sex", ""), Sex.UNKNOWN),
        site=_whole(row.get("site", "")) or None,
        device=" ".join(row.get("device", "").split()) or None,
    )


def _age(text: str) -> float | None:
    if not text:
        return None
    age = float(text)
    return AGE_OF_HIDDEN if age == HIDDEN_AGE else age


def _whole(text: str) -> str:
    """PTB-XL writes some whole numbers as floats (`12.0`), depending on the release."""
    return text.removesuffix(".0")


def _sorted_rows(folder: Path) -> list[dict[str, str]]:
    return sorted(_rows(folder), key=lambda row: int(row["ecg_id"]))


def _rows(folder: Path) -> Iterable[dict[str, str]]:
    """Rows with labels and split, whichever table they come from."""
    database = folder / DATABASE_FILE
    patients = {row["ecg_id"]: row for row in _read(database)} if database.is_file() else {}
    if not (folder / LABELS_FILE).is_file():
        return _labelled(patients.values(), folder / STATEMENTS_FILE)
    return ({**patients.get(row["ecg_id"], {}), **row} for row in _read(folder / LABELS_FILE))


def _labelled(rows: Iterable[dict[str, str]], statements: Path) -> Iterable[dict[str, str]]:
    """Adds the superclasses and the split. A code counts whatever its likelihood, as in the authors' own example."""
    superclasses = {r[""]: r["diagnostic_class"] for r in _read(statements) if r["diagnostic"] == "1.0"}
    for row in rows:
        found = {superclasses.get(code) for code in ast.literal_eval(row["scp_codes"])}
        labels = {c.value: "1" if c in found else "0" for c in Superclass}
        yield {**row, **labels, "split": SPLIT_OF_FOLD[int(row["strat_fold"])]}


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{**row, "ecg_id": _whole(row["ecg_id"])} if "ecg_id" in row else row for row in csv.DictReader(file)]
