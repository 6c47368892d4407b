import csv
from pathlib import Path

import pytest

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.ptbxl import Rate, Split, read_index
from training.looks import open_look


@pytest.fixture
def official(ptbxl: Path, tmp_path: Path) -> Path:
    """The folder as PhysioNet gives it out, without our table of labels."""
    for name in ("records100", "records500", "ptbxl_database.csv", "scp_statements.csv"):
        (tmp_path / name).symlink_to(ptbxl / name)
    return tmp_path


def test_the_splits_have_the_published_sizes_and_share_no_recording(ptbxl: Path) -> None:
    train, val = (read_index(ptbxl, split) for split in (Split.TRAIN, Split.VAL))
    assert (len(train), len(val)) == (1490, 242)
    assert sum(Superclass.MI in e.labels for e in train) == 266
    assert not {e.ecg_id for e in train} & {e.ecg_id for e in val}


def test_the_official_tables_give_the_same_labels_and_splits(ptbxl: Path, official: Path) -> None:
    for split in (Split.TRAIN, Split.VAL):
        by_table = {e.ecg_id: e for e in read_index(ptbxl, split)}
        entries = read_index(official, split)
        assert entries
        assert all(e.labels == by_table[e.ecg_id].labels for e in entries)
        assert all((e.age, e.sex) == (by_table[e.ecg_id].age, by_table[e.ecg_id].sex) for e in entries)


def test_a_recording_is_read_with_the_age_and_sex_of_the_index(ptbxl: Path) -> None:
    entry = next(e for e in read_index(ptbxl, Split.VAL, Rate.HZ500) if e.ecg_id == 10)
    recording = entry.read()
    assert (recording.age, recording.sex, recording.sampling_rate) == (22, Sex.FEMALE, 500)
    assert entry.labels == {Superclass.NORM}


def test_recordings_whose_files_are_not_there_are_left_out(ptbxl: Path) -> None:
    at_500 = read_index(ptbxl, Split.VAL, Rate.HZ500)
    assert len(at_500) == 78
    assert all(e.header.is_file() for e in at_500)


def test_hidden_ages_become_90(official: Path, tmp_path: Path) -> None:
    path = official / "ptbxl_database.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    path.unlink()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "age": "300.0"} for row in rows)
    assert {e.age for e in read_index(official, Split.VAL)} == {90}


def test_the_test_split_is_not_given_out_without_an_open_look(ptbxl: Path, tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="evaluate"):
        read_index(ptbxl, Split.TEST)
    with open_look(tmp_path / "looks.jsonl", commit=None, sha256="") as look:
        pass
    with pytest.raises(PermissionError, match="evaluate"):
        read_index(ptbxl, Split.TEST, look=look)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_index(tmp_path, Split.TRAIN)
