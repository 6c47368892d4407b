"""Chapman-Shaoxing-Ningbo in its official layout (Zheng et al., Sci Data 7:48, 2020; PhysioNet ecg-arrhythmia 1.0.0).

    WFDBRecords/NN/NNN/JSnnnnn.hea, .mat    500 Hz, 10 s, with `# Age`, `# Sex`, `# Dx` (SNOMED CT codes)

`chapman_codes.csv` says what each code tells about the superclasses: `present` asserts one, `opens` leaves some
unknown, `normal` says whether an ECG with this code may still be normal (`yes`, `no`, or `open`: unknown). Its codes
and names are those of the data set's ConditionNames_SNOMED-CT.csv and of the table of the PhysioNet/CinC Challenge
2021 (dx_mapping_*.csv); docs/datasets.md gives the reasons. Release 1.0.0 names no patients: it has one recording of
each, so the recording stands for the patient.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from inference.formats.comments import person
from inference.labels import Superclass
from training.datasets.entry import Dropped, Entry, split_of
from training.datasets.indexed import Index
from training.datasets.wfdb_file import wfdb_file

NAME = "chapman"
VERSION = "1.0.0"

RECORDS_FOLDER = "WFDBRecords"
CODES_FILE = Path(__file__).with_name("chapman_codes.csv")

ABNORMAL = (Superclass.MI, Superclass.STTC, Superclass.CD, Superclass.HYP)

_DX = re.compile(r"^#\s*Dx:\s*([\d,\s]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one code tells. normal: True where it fits a normal ECG, False where not, None where it leaves it open."""

    present: Superclass | None
    opens: frozenset[Superclass]
    normal: bool | None


# A code that nobody has placed may be anything.
UNPLACED = Meaning(None, frozenset(ABNORMAL), None)


@cache
def meanings() -> dict[str, Meaning]:
    """The table of codes."""
    normal = {"yes": True, "no": False, "open": None}
    with CODES_FILE.open(newline="") as file:
        return {
            row["code"]: Meaning(
                present=Superclass(row["present"]) if row["present"] else None,
                opens=frozenset(Superclass(c) for c in row["opens"].split()),
                normal=normal[row["normal"]],
            )
            for row in csv.DictReader(file)
        }


def labels_of(codes: Iterable[str]) -> dict[Superclass, bool]:
    """What a record's codes say. The readers listed every finding, so a class is absent unless a code opens it."""
    known = [meanings().get(code, UNPLACED) for code in codes]
    present = {m.present for m in known}
    opened = frozenset().union(*(m.opens for m in known))
    labels = {c: c in present for c in ABNORMAL if c in present or c not in opened}
    fits = {m.normal for m in known}
    if False in fits:
        labels[Superclass.NORM] = False
    elif fits == {True}:
        labels[Superclass.NORM] = True
    return labels


def scan(folder: Path) -> Index:
    """Every record, by name; only headers are read.

    Raises FileNotFoundError when there is no folder of records.
    """
    records = folder / RECORDS_FOLDER
    if not records.is_dir():
        raise FileNotFoundError(f"{records} is no folder")
    entries, dropped = [], []
    for header in sorted(records.glob("*/*/*.hea"), key=lambda path: path.name):
        found = _entry(header)
        if isinstance(found, Dropped):
            dropped.append(found)
        else:
            entries.append(found)
    return Index(tuple(entries), dropped=tuple(dropped))


def _entry(header: Path) -> Entry | Dropped:
    name = header.stem
    text = header.read_text("utf-8", errors="replace")
    # JS01052 and JS23074 of 1.0.0 lack the line break after the record line, which loses a lead.
    if len(text.partition("\n")[0].split()) > len(("record", "leads", "Hz", "samples", "time", "date")):
        return Dropped(name, "its header is malformed")
    codes = _DX.search(text)
    if codes is None:
        return Dropped(name, "its header names no diagnosis")
    if not header.with_suffix(".mat").is_file():
        return Dropped(name, "its samples are absent")
    patient = person(line for line in text.splitlines() if line.startswith("#"))
    return Entry(
        dataset=NAME,
        recording_id=name,
        patient_id=name,
        split=split_of(NAME, name),
        labels=labels_of(code.strip() for code in codes[1].split(",") if code.strip()),
        source=wfdb_file(header),
        age=patient.age,
        sex=patient.sex,
    )
