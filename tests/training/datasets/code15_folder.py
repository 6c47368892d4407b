"""Writes a folder in CODE-15%'s official layout out of real recordings."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from inference.recording import Recording
from training.datasets.code15 import MILLIVOLTS_PER_UNIT, SAMPLES, SAMPLING_RATE

COLUMNS = (
    "exam_id", "age", "is_male", "nn_predicted_age", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "patient_id", "death",
    "timey", "normal_ecg", "trace_file",
)  # fmt: skip
NO_LABEL = dict.fromkeys(("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "normal_ecg"), "False")


@dataclass(frozen=True)
class Exam:
    """One row of the table; labels: the columns that are True."""

    exam_id: int
    patient_id: int
    labels: frozenset[str] = frozenset()
    age: int = 60
    male: bool = True
    extra: dict[str, str] = field(default_factory=dict)

    def row(self, trace_file: str) -> dict[str, str]:
        blank = dict.fromkeys(COLUMNS, "")
        stated = dict.fromkeys(self.labels, "True")
        ids = {"exam_id": str(self.exam_id), "patient_id": str(self.patient_id), "trace_file": trace_file}
        return {**blank, **NO_LABEL, **stated, **ids, "age": str(self.age), "is_male": str(self.male), **self.extra}


def tracing(recording: Recording, seconds: float = 10.0) -> NDArray[np.float32]:
    """(4096, 12): the first seconds of a recording at 400 Hz, in the middle of zeros."""
    rate = round(recording.sampling_rate)
    resampled = resample_poly(recording.signal, round(SAMPLING_RATE), rate, axis=1)[:, : round(seconds * SAMPLING_RATE)]
    padded = np.zeros((SAMPLES, 12), np.float32)
    start = (SAMPLES - resampled.shape[1]) // 2
    padded[start : start + resampled.shape[1]] = resampled.T / MILLIVOLTS_PER_UNIT
    return padded


def write_part(folder: Path, number: int, exams: Sequence[Exam], tracings: Sequence[NDArray[np.float32]]) -> None:
    """`exams_part<number>.hdf5`, with the row of zeros that ends each official part."""
    with h5py.File(folder / f"exams_part{number}.hdf5", "w") as file:
        file["exam_id"] = np.array([*(e.exam_id for e in exams), 0], np.int64)
        rows = np.stack([*tracings, np.zeros((SAMPLES, 12), np.float32)])
        file.create_dataset("tracings", data=rows, chunks=(1, SAMPLES, 12), compression="gzip", compression_opts=1)


def write_table(folder: Path, parts: Sequence[Sequence[Exam]]) -> None:
    """`exams.csv` of all parts."""
    with (folder / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number, exams in enumerate(parts):
            writer.writerows(exam.row(f"exams_part{number}.hdf5") for exam in exams)


def write_repeated(folder: Path, tracings: Sequence[NDArray[np.float32]], rows: int) -> None:
    """A folder of one part with many rows that takes the disk space of few: a virtual data set over those given."""
    base = folder / "base.h5"
    with h5py.File(base, "w") as file:
        file.create_dataset("tracings", data=np.stack(tracings), chunks=(1, SAMPLES, 12), compression="gzip")
    layout: Any = h5py.VirtualLayout((rows, SAMPLES, 12), np.float32)
    source: Any = h5py.VirtualSource(str(base), "tracings", (len(tracings), SAMPLES, 12))
    for start in range(0, rows, len(tracings)):
        count = min(len(tracings), rows - start)
        layout[start : start + count] = source[:count]
    with h5py.File(folder / "exams_part0.hdf5", "w") as file:
        file["exam_id"] = np.arange(1, rows + 1)
        file.create_virtual_dataset("tracings", layout)
    write_table(folder, [[Exam(exam_id, patient_id=exam_id // 2) for exam_id in range(1, rows + 1)]])
