import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.training.datasets.code15_folder import Exam, write_part, write_table
from training.datasets.catalog import KINDS, DataSet, open_dataset
from training.datasets.entry import Entry, Split, complete
from training.datasets.indexed import Index, IndexedDataSet
from training.datasets.wfdb_file import wfdb_file
from training.looks import open_look

Write = Callable[[Path, list[int]], None]  # a folder, and the patient of each recording


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_is_not_there_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        open_dataset(kind, tmp_path / "gone")


def test_another_kind_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ptbxl, code15, chapman, cohort"):
        open_dataset("mimic", tmp_path)


def test_a_data_set_tells_its_name_version_and_folder(ptbxl: Path) -> None:
    data_set: DataSet = open_dataset("ptbxl", ptbxl)
    assert (data_set.name, data_set.version, data_set.folder) == ("ptbxl", "1.0.3", ptbxl.resolve())


def write_ptbxl(folder: Path, patients: list[int]) -> None:
    """Folds as PTB-XL's authors drew them: by patient."""
    (folder / "scp_statements.csv").write_text(",diagnostic,diagnostic_class\nNORM,1.0,NORM\n")
    with (folder / "ptbxl_database.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = "ecg_id patient_id age sex scp_codes strat_fold filename_lr filename_hr site device"
        writer.writerow(columns.split())
        for ecg_id, patient in enumerate(patients, start=1):
            (folder / f"{ecg_id}_lr.hea").touch()
            (folder / f"{ecg_id}_hr.hea").touch()
            files = (f"{ecg_id}_lr", f"{ecg_id}_hr")
            writer.writerow([ecg_id, f"{patient}.0", 60, 0, "{'NORM': 100.0}", patient % 10 + 1, *files, "", ""])


def write_code15(folder: Path, patients: list[int]) -> None:
    exams = [Exam(exam_id, patient) for exam_id, patient in enumerate(patients, start=1)]
    halves = exams[::2], exams[1::2]
    for number, half in enumerate(halves):
        write_part(folder, number, half, [np.zeros((4096, 12), np.float32)] * len(half))
    write_table(folder, halves)


def write_chapman(folder: Path, patients: list[int]) -> None:
    """The release has one recording of each patient."""
    group = folder / "WFDBRecords" / "01" / "010"
    group.mkdir(parents=True)
    for patient in sorted(set(patients)):
        (group / f"JS{patient:05}.hea").write_text(f"JS{patient:05} 12 500 5000\n# Dx: 426783006\n")
        (group / f"JS{patient:05}.mat").touch()


def write_cohort(folder: Path, patients: list[int]) -> None:
    lines = ["ecg_id,filename,patient_id,NORM,MI,STTC,CD,HYP"]
    for ecg_id, patient in enumerate(patients, start=1):
        (folder / f"{ecg_id}.hea").touch()
        lines.append(f"{ecg_id},{ecg_id},P{patient},1,0,0,0,0")
    (folder / "superclass_labels.csv").write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Write] = {
    "ptbxl": write_ptbxl,
    "code15": write_code15,
    "chapman": write_chapman,
    "cohort": write_cohort,
}


def test_every_kind_is_among_those_whose_splits_are_proven() -> None:
    assert set(WRITERS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patients=st.lists(st.integers(1, 40), min_size=2, max_size=40))
def test_no_patient_is_in_two_splits(kind: str, patients: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp(kind)
    WRITERS[kind](folder, patients)
    data_set = open_dataset(kind, folder)
    with open_look(folder / "looks.jsonl", commit=None, sha256="") as look:
        splits = {split: data_set.entries(split, look=look) for split in Split}
    splits_of = defaultdict(set)
    for split, entries in splits.items():
        for entry in entries:
            splits_of[entry.patient_id].add(split)
    assert len(splits_of) == len(set(patients))
    assert all(len(found) == 1 for found in splits_of.values())
    recordings = [entry.recording_id for entries in splits.values() for entry in entries]
    assert len(recordings) == len(set(recordings)) == (len(set(patients)) if kind == "chapman" else len(patients))


def test_nobody_of_the_real_training_and_validation_recordings_is_in_both(ptbxl: Path) -> None:
    data_set = open_dataset("ptbxl", ptbxl)
    train, val = data_set.training_entries(), data_set.entries(Split.VAL)
    assert not {e.patient_id for e in train} & {e.patient_id for e in val}


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_gives_out_its_test_split_without_an_open_look(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path, list(range(1, 41)))
    data_set = open_dataset(kind, tmp_path)
    with pytest.raises(PermissionError, match="evaluate"):
        data_set.entries(Split.TEST)
    with open_look(tmp_path / "looks.jsonl", commit=None, sha256="") as look:
        assert data_set.entries(Split.TEST, look=look)
    with pytest.raises(PermissionError, match="evaluate"):
        data_set.entries(Split.TEST, look=look)


def test_all_of_an_external_data_set_may_check_a_model_without_a_look(chapman: Path) -> None:
    assert len(open_dataset("chapman", chapman).external_entries()) == 20


def test_ptbxl_is_no_external_data(ptbxl: Path) -> None:
    with pytest.raises(PermissionError, match="trained on it"):
        open_dataset("ptbxl", ptbxl).external_entries()


def test_a_data_set_is_indexed_once_and_only_when_it_is_used(examples: Path, tmp_path: Path) -> None:
    calls = []

    def scan(folder: Path) -> Index:
        calls.append(folder)
        source = wfdb_file(examples / "00010_hr.hea")
        split, labels = Split.TRAIN, complete(frozenset())
        return Index((Entry(dataset="d", recording_id="1", patient_id="1", split=split, labels=labels, source=source),))

    data_set = IndexedDataSet("d", "1", tmp_path, scan)
    assert not calls
    assert data_set.entries(Split.TRAIN) == data_set.training_entries()
    assert calls == [tmp_path]


def test_a_data_set_without_training_recordings_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training recordings"):
        IndexedDataSet("d", "1", tmp_path, lambda folder: Index(())).training_entries()


def test_data_sets_can_be_listed_downloaded_and_checked_without_the_training_libraries() -> None:
    code = (
        "import sys, interop.commands.datasets, training.datasets.catalog, training.datasets.download;"
        "print(sorted({'torch', 'h5py', 'sklearn', 'mlflow', 'wfdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
