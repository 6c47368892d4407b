"""A hospital's own cohort: WFDB records and one table beside them, in the layout that PTB-XL is handed on in.

    superclass_labels.csv    ecg_id, filename (or filename_lr), NORM, MI, STTC, CD, HYP
                             and, where known: patient_id, split, age, sex, site, device

The five columns hold 1, 0 or nothing; nothing is unknown. Without `split`, patients are divided by a hash of their id;
without `patient_id`, each recording is a patient of his own, so name the patients where anybody was recorded twice.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from inference.labels import Superclass
from inference.recording import MAX_AGE, Sex
from training.datasets.entry import Dropped, Entry, Split, split_of
from training.datasets.indexed import Index
from training.datasets.wfdb_file import wfdb_file

NAME = "cohort"
VERSION = "1"

LABELS_FILE = "superclass_labels.csv"
FILE_COLUMNS = ("filename", "filename_lr", "filename_hr")

STATES = {"1": True, "1.0": True, "0": False, "0.0": False}
SEXES = {"female": Sex.FEMALE, "f": Sex.FEMALE, "male": Sex.MALE, "m": Sex.MALE, "other": Sex.OTHER}


def scan(folder: Path) -> Index:
    """Every row whose file is there, in the order of the table.

    Raises FileNotFoundError without the table; ValueError, which names the row, for a value that cannot be used, an
    id that is there twice, or a patient in two splits.
    """
    with (folder / LABELS_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    entries, dropped = [], []
    for number, row in enumerate(rows, start=2):  # the table's heading is its first line
        name = f"{_filename(row, number)}.hea"
        header = folder / name
        if header.is_file():
            entries.append(_entry(row, header, number))
        else:
            dropped.append(Dropped(row["ecg_id"], f"{name} is absent"))
    _refuse_contradictions(entries)
    return Index(tuple(entries), dropped=tuple(dropped))


def _filename(row: Mapping[str, str], number: int) -> str:
    named = next((row[column] for column in FILE_COLUMNS if row.get(column)), "")
    if not named or not row.get("ecg_id"):
        raise ValueError(f"{LABELS_FILE} line {number}: no ecg_id or file name")
    return named.removesuffix(".hea")


def _entry(row: Mapping[str, str], header: Path, number: int) -> Entry:
    recording_id = row["ecg_id"]
    patient_id = row.get("patient_id") or f"ecg_id {recording_id}"
    try:
        return Entry(
            dataset=NAME,
            recording_id=recording_id,
            patient_id=patient_id,
            split=Split(row["split"]) if row.get("split") else split_of(NAME, patient_id),
            labels={c: STATES[row[c].strip()] for c in Superclass if (row.get(c) or "").strip()},
            source=wfdb_file(header),
            age=_age(row.get("age") or ""),
            sex=SEXES.get((row.get("sex") or "").strip().lower(), Sex.UNKNOWN),
            site=row.get("site") or None,
            device=row.get("device") or None,
        )
    except (ValueError, KeyError) as error:
        raise ValueError(f"{LABELS_FILE} line {number}: {error}") from error


def _age(text: str) -> float | None:
    if not text.strip():
        return None
    age = float(text)
    if not 0 <= age <= MAX_AGE:
        raise ValueError(f"age {text} is not 0 to {MAX_AGE:g} years")
    return age


def _refuse_contradictions(entries: Iterable[Entry]) -> None:
    """The splits of a cohort are written by people, so they are checked."""
    seen: set[str] = set()
    split_of_patient: dict[str, Split] = {}
    for entry in entries:
        if entry.recording_id in seen:
            raise ValueError(f"{LABELS_FILE}: ecg_id {entry.recording_id} is there twice")
        seen.add(entry.recording_id)
        if split_of_patient.setdefault(entry.patient_id, entry.split) is not entry.split:
            raise ValueError(f"{LABELS_FILE}: patient {entry.patient_id} is in two splits")
