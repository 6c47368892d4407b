"""CODE-15% in its official layout (Ribeiro et al., Nat Commun 11:1760, 2020; Zenodo record 4916206, version 1.0.0).

    exams.csv             one row per exam: exam_id, patient_id, age, is_male, six labels, normal_ecg, trace_file
    exams_part{i}.hdf5    `exam_id` (n,) and `tracings` (n, 4096, 12) float32, 400 Hz; the two in the same order

Recordings of 7 or 10 s stand in the middle of 4,096 samples, zeros before and after. Every part ends with one row of
zeros whose exam_id is in no table. Which labels follow from the six of the table, and why the others stay unknown:
docs/datasets.md.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import SignalMalformed
from inference.labels import Superclass
from inference.recording import LEADS, MAX_AGE, Recording, Sex
from training.datasets.entry import Dropped, Entry, complete, split_of
from training.datasets.indexed import Index

NAME = "code15"
VERSION = "1.0.0"

EXAMS_FILE = "exams.csv"
SAMPLING_RATE = 400.0  # Hz
SAMPLES = 4096

# Its authors say both "1e-4 V" and "multiply volts by 1000"; the PhysioNet/CinC Challenge 2025 reads millivolts.
MILLIVOLTS_PER_UNIT = 1.0

CONDUCTION = ("1dAVb", "RBBB", "LBBB")
RHYTHM = ("SB", "ST", "AF")

TRUE = frozenset({"true", "1", "1.0"})
SEXES = {**dict.fromkeys(TRUE, Sex.MALE), **dict.fromkeys(("false", "0", "0.0"), Sex.FEMALE)}

OPEN_PARTS = 2  # a process that prepares goes through the parts one after the other
CHUNK_CACHE = 8 << 20  # bytes: enough for the chunk at hand, whatever the size of the file


@dataclass(frozen=True, slots=True)
class Tracing:
    """One row of an HDF5 part. size, modified: bytes and ns, so that a file that is replaced is noticed."""

    file: Path
    row: int
    size: int
    modified: int

    @property
    def key(self) -> str:
        """File, its size and time, and row."""
        return f"{self.file}:{self.size}:{self.modified}:{self.row}"

    def read(self) -> Recording:
        """The recording without its padding. Raises SignalMalformed when nothing but padding is there, OSError."""
        padded = np.asarray(_open(self.file, self.modified)["tracings"][self.row], np.float32)
        if padded.shape != (SAMPLES, len(LEADS)):
            raise SignalMalformed(f"{self.file.name}: row {self.row} is {padded.shape}, not {(SAMPLES, len(LEADS))}")
        signal = np.ascontiguousarray(unpadded(padded).T) * np.float32(MILLIVOLTS_PER_UNIT)
        return Recording(signal=signal, sampling_rate=SAMPLING_RATE)


def unpadded(tracing: NDArray[np.float32]) -> NDArray[np.float32]:
    """(samples, leads) without the zeros before and after. Raises SignalMalformed when there is nothing else."""
    (filled,) = np.nonzero(tracing.any(axis=1))
    if not len(filled):
        raise SignalMalformed("the tracing is all zeros")
    return tracing[filled[0] : filled[-1] + 1]


def labels_of(exam: Mapping[str, str]) -> dict[Superclass, bool]:
    """What a row of exams.csv says about the superclasses; see docs/datasets.md."""
    normal = _is_true(exam["normal_ecg"])
    conduction = any(_is_true(exam[column]) for column in CONDUCTION)
    rhythm = any(_is_true(exam[column]) for column in RHYTHM)
    if normal and not conduction:
        return complete(frozenset({Superclass.NORM}))
    labels = {Superclass.CD: True} if conduction else {}
    if not normal and (conduction or not rhythm):
        labels[Superclass.NORM] = False
    return labels


def scan(folder: Path) -> Index:
    """Every exam whose part is there, in the order of the parts.

    Raises FileNotFoundError without exams.csv, ValueError when it lacks a column or a part is no such HDF5 file.
    """
    exams = _read_exams(folder / EXAMS_FILE)
    entries, dropped = [], []
    for part in sorted(folder.glob("exams_part*.hdf5"), key=_part_number):
        stat = part.stat()
        for row, exam_id in enumerate(_exam_ids(part, stat.st_mtime_ns)):
            exam = exams.pop(exam_id, None)
            if exam is None:
                dropped.append(Dropped(exam_id, f"row {row} of {part.name} is not in {EXAMS_FILE}"))
            else:
                entries.append(_entry(exam, Tracing(part, row, stat.st_size, stat.st_mtime_ns)))
    dropped += [Dropped(exam_id, f"{exam['trace_file']} is absent or lacks it") for exam_id, exam in exams.items()]
    return Index(tuple(entries), dropped=tuple(dropped))


def _entry(exam: Mapping[str, str], tracing: Tracing) -> Entry:
    return Entry(
        dataset=NAME,
        recording_id=exam["exam_id"],
        patient_id=exam["patient_id"],
        split=split_of(NAME, exam["patient_id"]),
        labels=labels_of(exam),
        source=tracing,
        age=_age(exam["age"]),
        sex=SEXES.get(exam["is_male"].strip().lower(), Sex.UNKNOWN),
    )


def _read_exams(path: Path) -> dict[str, dict[str, str]]:
    needed = {"exam_id", "patient_id", "age", "is_male", "normal_ecg", "trace_file", *CONDUCTION, *RHYTHM}
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = needed - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        return {row["exam_id"]: {column: row[column] for column in needed} for row in rows}


def _exam_ids(part: Path, modified: int) -> list[str]:
    try:
        return [str(exam_id) for exam_id in _open(part, modified)["exam_id"][:].tolist()]
    except (OSError, KeyError) as error:
        raise ValueError(f"{part}: no HDF5 file with exam_id ({error})") from error


def _part_number(path: Path) -> int:
    digits = path.stem.removeprefix("exams_part")
    return int(digits) if digits.isdecimal() else -1


@lru_cache(maxsize=OPEN_PARTS)
def _open(part: Path, modified: int) -> Any:
    """An HDF5 file, kept open: opening takes longer than reading a row. Closed when it falls out of the cache.

    modified: so that a file that was replaced is opened again.
    """
    import h5py  # on first use: only those who train have it

    return h5py.File(part, "r", rdcc_nbytes=CHUNK_CACHE)


def _is_true(text: str) -> bool:
    return text.strip().lower() in TRUE


def _age(text: str) -> float | None:
    """Years; None for what nobody's age can be."""
    age = float(text) if text.strip() else -1.0
    return age if 0 <= age <= MAX_AGE else None
