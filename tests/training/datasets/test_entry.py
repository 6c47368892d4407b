import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.entry import Entry, Split, complete, split_of
from training.datasets.wfdb_file import wfdb_file

SPLITS_OF_THE_FIRST_FORTY = "rarrrrrerrreerrreerrrrrerrrrrrrrrrrarrre"  # second letters of train, val, test


def entry_of(examples: Path) -> Entry:
    return Entry(
        dataset="cohort",
        recording_id="184",
        patient_id="P1",
        split=Split.TRAIN,
        labels=complete(frozenset({Superclass.MI})),
        source=wfdb_file(examples / "00184_hr.hea"),
        age=61,
        sex=Sex.MALE,
    )


@given(st.text(max_size=20), st.text(max_size=40))
def test_a_patient_is_always_in_the_same_split(dataset: str, patient_id: str) -> None:
    assert split_of(dataset, patient_id) is split_of(dataset, patient_id)


def test_of_ten_patients_eight_train_one_validates_one_tests() -> None:
    counts = Counter(split_of("code15", str(patient)) for patient in range(20_000))
    assert abs(counts[Split.TRAIN] - 16_000) < 300
    assert abs(counts[Split.VAL] - 2_000) < 200
    assert abs(counts[Split.TEST] - 2_000) < 200


def test_splits_stay_as_they_are() -> None:
    """Another order of the hash would move patients from test to train between two releases."""
    found = "".join(split_of("code15", str(patient)).value[1] for patient in range(40))
    assert found == SPLITS_OF_THE_FIRST_FORTY


def test_an_entry_reads_its_recording_with_its_own_age_and_sex(examples: Path) -> None:
    recording = entry_of(examples).read()
    assert (recording.age, recording.sex, recording.sampling_rate) == (61, Sex.MALE, 500)


def test_an_entry_can_be_sent_to_another_process_and_compared(examples: Path) -> None:
    entry = entry_of(examples)
    assert pickle.loads(pickle.dumps(entry)) == entry
    assert len({entry, replace(entry), replace(entry, age=20)}) == 2


def test_a_file_that_is_replaced_has_another_key(examples: Path, tmp_path: Path) -> None:
    header = tmp_path / "a.hea"
    header.write_bytes((examples / "00184_hr.hea").read_bytes())
    before = wfdb_file(header).key
    assert wfdb_file(header).key == before
    header.write_bytes((examples / "00010_hr.hea").read_bytes() + b"\n")
    assert wfdb_file(header).key != before
