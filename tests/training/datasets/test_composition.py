"""Counts of a data set, on the real part of PTB-XL and on entries of our own."""

from pathlib import Path

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.catalog import open_dataset
from training.datasets.composition import composition
from training.datasets.entry import Dropped, Entry, Split, complete
from training.datasets.indexed import Index, IndexedDataSet
from training.datasets.wfdb_file import wfdb_file


def entry(
    folder: Path, id: str, patient: str, split: Split, *, age: float | None = None, sex: Sex = Sex.UNKNOWN
) -> Entry:
    return Entry(
        dataset="ours", recording_id=id, patient_id=patient, split=split, age=age, sex=sex, device="A",
        labels=complete(frozenset({Superclass.MI})), source=wfdb_file(folder / f"{id}.hea"),
    )  # fmt: skip


def data_set(tmp_path: Path) -> IndexedDataSet:
    for name in ("2", "9", "10", "11"):
        (tmp_path / f"{name}.hea").touch()
    entries = (
        entry(tmp_path, "2", "p", Split.TRAIN, age=39.9, sex=Sex.FEMALE),
        entry(tmp_path, "10", "p", Split.TRAIN, age=41.0, sex=Sex.FEMALE),
        entry(tmp_path, "9", "q", Split.VAL),
        entry(tmp_path, "11", "r", Split.TEST, age=80.0, sex=Sex.MALE),
    )
    dropped = (Dropped("3", "too short"), Dropped("4", "too short"))
    return IndexedDataSet("ours", "1", tmp_path, lambda _: Index(entries, entries[:1], dropped))


def test_everything_that_a_card_keeps_is_counted(tmp_path: Path) -> None:
    found = composition(data_set(tmp_path))
    assert found["ids"] == {"first": "2", "last": "11"}
    assert (found["training_repeats"], found["left_out"]) == (1, {"too short": 2})
    train = found["splits"]["train"]
    assert (train["recordings"], train["patients"]) == (2, 1)
    assert train["sex"] == {"female": 2}
    assert train["age"] == {"40 to 59": 1, "under 40": 1}
    assert train["age_years"] == {"lowest": 39.9, "median": 40.45, "highest": 41.0}
    assert train["device"] == {"A": 2}
    assert train["classes"]["MI"] == {"known": 2, "positives": 2}


def test_what_is_unknown_is_counted_as_unknown(tmp_path: Path) -> None:
    val = composition(data_set(tmp_path))["splits"]["val"]
    assert (val["sex"], val["age"], val["age_years"]) == ({"unknown": 1}, {"unknown": 1}, None)


def test_no_label_of_the_test_split_is_counted(tmp_path: Path) -> None:
    test = composition(data_set(tmp_path))["splits"]["test"]
    assert "classes" not in test
    assert test["sex"] == {"male": 1}


def test_the_real_part_of_ptbxl_has_what_the_shipped_card_says(ptbxl: Path) -> None:
    found = composition(open_dataset("ptbxl", ptbxl))
    assert {name: split["recordings"] for name, split in found["splits"].items()} == {
        "train": 1490, "val": 242, "test": 124,
    }  # fmt: skip
    assert found["splits"]["train"]["classes"]["NORM"] == {"known": 1490, "positives": 801}
