import csv
from pathlib import Path

import pytest

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.catalog import open_dataset
from training.datasets.entry import Split
from training.datasets.ptbxl import Rate, read_index, scan
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
    assert sum(e.labels[Superclass.MI] for e in train) == 266
    assert not {e.recording_id for e in train} & {e.recording_id for e in val}


def test_every_label_is_known(ptbxl: Path) -> None:
    assert all(set(e.labels) == set(Superclass) for e in read_index(ptbxl, Split.VAL))


def test_the_official_tables_give_the_same_labels_and_splits(ptbxl: Path, official: Path) -> None:
    for split in (Split.TRAIN, Split.VAL):
        by_table = {e.recording_id: e for e in read_index(ptbxl, split)}
        entries = read_index(official, split)
        assert entries
        assert all(e.labels == by_table[e.recording_id].labels for e in entries)
        for entry in entries:
            other = by_table[entry.recording_id]
            assert (entry.patient_id, entry.age, entry.sex) == (other.patient_id, other.age, other.sex)


def test_a_recording_is_read_with_the_age_and_sex_of_the_index(ptbxl: Path) -> None:
    entry = next(e for e in read_index(ptbxl, Split.VAL, Rate.HZ500) if e.recording_id == "10")
    recording = entry.read()
    assert (recording.age, recording.sex, recording.sampling_rate) == (22, Sex.FEMALE, 500)
    assert [c for c, present in entry.labels.items() if present] == [Superclass.NORM]


def test_patient_site_and_device_are_those_of_the_database(ptbxl: Path) -> None:
    first = read_index(ptbxl, Split.TRAIN)[0]
    assert (first.recording_id, first.patient_id, first.site, first.device) == ("1", "15709", "0", "CS-12 E")


def test_recordings_whose_files_are_not_there_are_left_out(ptbxl: Path) -> None:
    assert len(read_index(ptbxl, Split.VAL, Rate.HZ500)) == 78


def test_training_repeats_recordings_that_are_there_at_both_rates(ptbxl: Path) -> None:
    entries = open_dataset("ptbxl", ptbxl).training_entries()
    assert len(entries) == 1490 + 344
    assert [e.source.key for e in entries[1490:]] == [
        e.source.key for e in read_index(ptbxl.resolve(), Split.TRAIN, Rate.HZ500)
    ]


def test_a_recording_that_is_there_at_500_hz_only_is_used_at_500_hz(official: Path) -> None:
    (official / "records100").unlink()
    index = scan(official)
    assert len(index.entries) == 454
    assert not index.repeats
    assert index.entries[0].read().sampling_rate == 500


def test_hidden_ages_become_90(official: Path) -> None:
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
