"""Real recordings for the tests of the signal engine, read by hand so that these tests need no reader of ours."""

import csv
from pathlib import Path

import numpy as np

from inference.recording import Recording


def read(stem: Path) -> Recording:
    """A WFDB record of format 16 with 12 leads of one gain, as all of PTB-XL is."""
    header = stem.with_suffix(".hea").read_text().splitlines()
    rate, samples = float(header[0].split()[2]), int(header[0].split()[3])
    gains = np.array([float(line.split()[2].partition("(")[0].partition("/")[0]) for line in header[1:13]])
    counts = np.fromfile(stem.with_suffix(".dat"), "<i2").reshape(samples, 12)
    return Recording(np.ascontiguousarray((counts / gains).T, np.float32), rate)


def stems(shared_data: Path, column: str) -> list[Path]:
    """Records of PTB-XL that exist, without the test fold, which only the evaluation may open."""
    with (shared_data / "ptbxl/superclass_labels.csv").open() as lines:
        names = [row[column] for row in csv.DictReader(lines) if row["split"] != "test"]
    return [stem for name in names if (stem := shared_data / "ptbxl" / name).with_suffix(".dat").exists()]


def one_rhythm(recording: Recording, start: int, stop: int, seconds: float) -> Recording:
    """The samples start..stop repeated for so many seconds: a real beat in a perfectly regular rhythm."""
    samples = round(seconds * recording.sampling_rate)
    repeats = -(-samples // (stop - start))
    signal = np.tile(recording.signal[:, start:stop], (1, repeats))[:, :samples]
    return Recording(np.ascontiguousarray(signal), recording.sampling_rate)
