"""PTB-XL in its official layout (Wagner et al., Sci Data 7:154, 2020; PhysioNet 1.0.3).

    ptbxl_database.csv    one row per recording: age, sex, scp_codes, strat_fold, ...
    scp_statements.csv    SCP code -> diagnostic superclass
    records100/, records500/    WFDB

A folder may bring `superclass_labels.csv` (ecg_id, filename_lr, filename_hr, split and one 0/1 column per superclass)
instead of, or besides, the two official tables; it then decides on labels and splits, and the database adds what it
knows of age and sex. Folds 1 to 8 train, 9 validates, 10 tests, as its authors recommend: no patient is in two of them.
"""

import ast
import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from inference.formats import wfdb
from inference.labels import Superclass
from inference.recording import Recording, Sex
from training.looks import Look

LABELS_FILE = "superclass_labels.csv"
DATABASE_FILE = "ptbxl_database.csv"
STATEMENTS_FILE = "scp_statements.csv"

# Ages over 89 are stored as 300, to protect the few who reach them.
HIDDEN_AGE = 300.0
AGE_OF_HIDDEN = 90.0

SEXES = {"0": Sex.MALE, "1": Sex.FEMALE}


class Split(StrEnum):
    """The official folds, by use."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


SPLIT_OF_FOLD = {**dict.fromkeys(range(1, 9), Split.TRAIN), 9: Split.VAL, 10: Split.TEST}


class Rate(StrEnum):
    """The two sampling rates that every recording comes in; the value is the column of its file name."""

    HZ100 = "filename_lr"
    HZ500 = "filename_hr"


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording of the index. header: path of the `.hea` file. age in years, None where unknown."""

    ecg_id: int
    header: Path
    split: Split
    labels: frozenset[Superclass]
    age: float | None = None
    sex: Sex = Sex.UNKNOWN

    def read(self) -> Recording:
        """The recording, with age and sex of the index. Raises what `inference.formats.wfdb.read` raises."""
        return replace(wfdb.read(self.header), age=self.age, sex=self.sex)


def read_index(folder: Path, split: Split, rate: Rate = Rate.HZ100, *, look: Look | None = None) -> tuple[Entry, ...]:
    """The recordings of one split whose files are there, by ecg_id. Nothing but tables is read.

    Raises PermissionError for the test split without an open look, FileNotFoundError when the tables are absent.
    """
    if split is Split.TEST and (look is None or not look.open):
        raise PermissionError("the test split is read by training.evaluate only, which records each look")
    entries = (_entry(folder, row, rate) for row in _rows(folder))
    present = (e for e in entries if e.split is split and e.header.is_file())
    return tuple(sorted(present, key=lambda e: e.ecg_id))


def _entry(folder: Path, row: Mapping[str, str], rate: Rate) -> Entry:
    return Entry(
        ecg_id=int(row["ecg_id"]),
        header=folder / f"{row[rate]}.hea",
        split=Split(row["split"]),
        labels=frozenset(c for c in Superclass if row[c] == "1"),
        age=_age(row.get("age", "")),
        sex=SEXES.get(row.get("sex", ""), Sex.UNKNOWN),
    )


def _age(text: str) -> float | None:
    if not text:
        return None
    age = float(text)
    return AGE_OF_HIDDEN if age == HIDDEN_AGE else age


def _rows(folder: Path) -> Iterable[dict[str, str]]:
    """Rows with labels and split, whichever table they come from."""
    database = folder / DATABASE_FILE
    demographics = {row["ecg_id"]: row for row in _read(database)} if database.is_file() else {}
    if not (folder / LABELS_FILE).is_file():
        return _labelled(demographics.values(), folder / STATEMENTS_FILE)
    return ({**demographics.get(row["ecg_id"], {}), **row} for row in _read(folder / LABELS_FILE))


def _labelled(rows: Iterable[dict[str, str]], statements: Path) -> Iterable[dict[str, str]]:
    """Adds the superclasses and the split. A code counts whatever its likelihood, as in the authors' own example."""
    superclasses = {r[""]: r["diagnostic_class"] for r in _read(statements) if r["diagnostic"] == "1.0"}
    for row in rows:
        found = {superclasses.get(code) for code in ast.literal_eval(row["scp_codes"])}
        labels = {c.value: "1" if c in found else "0" for c in Superclass}
        yield {**row, **labels, "split": SPLIT_OF_FOLD[int(row["strat_fold"])]}


def _read(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file. PTB-XL writes some whole numbers as floats (`12.0`), depending on the release."""
    with path.open(newline="") as file:
        return [
            {**row, "ecg_id": row["ecg_id"].removesuffix(".0")} if "ecg_id" in row else row
            for row in csv.DictReader(file)
        ]
