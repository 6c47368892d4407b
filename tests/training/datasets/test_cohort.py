import csv
from pathlib import Path

import pytest

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.cohort import LABELS_FILE, scan
from training.datasets.entry import Split, split_of

NORM, MI, STTC, CD, HYP = Superclass
SMALLEST = {"ecg_id": "1", "filename": "00010_hr", "NORM": "1", "MI": "0", "STTC": "0", "CD": "0", "HYP": "0"}


@pytest.fixture
def folder(examples: Path, tmp_path: Path) -> Path:
    """A folder with a recording that the project ships and no table yet."""
    for suffix in (".hea", ".dat"):
        (tmp_path / f"00010_hr{suffix}").symlink_to(examples / f"00010_hr{suffix}")
    return tmp_path


def write(folder: Path, *rows: dict[str, str]) -> Path:
    with (folder / LABELS_FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_the_smallest_table_is_enough(folder: Path) -> None:
    (entry,) = scan(write(folder, SMALLEST)).entries
    assert entry.labels == {NORM: True, MI: False, STTC: False, CD: False, HYP: False}
    assert entry.split is split_of("cohort", entry.patient_id)
    assert (entry.age, entry.sex, entry.site, entry.device) == (None, Sex.UNKNOWN, None, None)
    assert entry.read().signal.shape[0] == 12


def test_everything_that_is_known_of_a_recording_is_kept(folder: Path) -> None:
    known = {"patient_id": "P7", "split": "val", "age": "63", "sex": "F", "site": "Ward 3", "device": "MAC 2000"}
    (entry,) = scan(write(folder, {**SMALLEST, **known, "HYP": ""})).entries
    assert (entry.patient_id, entry.split, entry.age, entry.sex) == ("P7", Split.VAL, 63, Sex.FEMALE)
    assert (entry.site, entry.device) == ("Ward 3", "MAC 2000")
    assert HYP not in entry.labels  # an empty cell is unknown, not absent


def test_a_row_whose_file_is_absent_is_left_out_with_the_reason(folder: Path) -> None:
    index = scan(write(folder, SMALLEST, {**SMALLEST, "ecg_id": "2", "filename": "gone"}))
    assert len(index.entries) == 1
    assert [(d.recording_id, d.reason) for d in index.dropped] == [("2", "gone.hea is absent")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NORM": "yes"}, "line 2.*yes"),
        ({"split": "holdout"}, "line 2.*holdout"),
        ({"age": "250"}, "line 2.*250"),
        ({"ecg_id": ""}, "line 2"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_line(folder: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scan(write(folder, {**SMALLEST, **change}))


def test_an_id_that_is_there_twice_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        scan(write(folder, SMALLEST, SMALLEST))


def test_a_patient_in_two_splits_is_refused(folder: Path) -> None:
    row = {**SMALLEST, "patient_id": "P7"}
    with pytest.raises(ValueError, match="P7 is in two splits"):
        scan(write(folder, {**row, "split": "train"}, {**row, "ecg_id": "2", "split": "test"}))
