from pathlib import Path

import numpy as np
import pytest

from inference.errors import SignalMalformed
from inference.labels import Superclass
from inference.recording import LEADS, Recording, Sex
from tests.training.datasets.code15_folder import NO_LABEL, Exam, tracing, write_part, write_table
from training.datasets.code15 import labels_of, scan, unpadded

NORM, MI, STTC, CD, HYP = Superclass


@pytest.fixture
def folder(recordings: tuple[Recording, ...], tmp_path: Path) -> Path:
    """Two parts of three exams; the second exam is 7 s long, the third a row of zeros."""
    tracings = [tracing(recordings[0]), tracing(recordings[1], 7.0), np.zeros((4096, 12), np.float32)]
    first = [Exam(11, 1, frozenset({"normal_ecg"})), Exam(12, 2, frozenset({"RBBB"}), male=False), Exam(13, 2)]
    second = [Exam(21, 3), Exam(22, 1), Exam(23, 4)]
    write_part(tmp_path, 0, first, tracings)
    write_part(tmp_path, 1, second, [tracing(r) for r in recordings[3:6]])
    write_table(tmp_path, [first, second])
    return tmp_path


def test_every_exam_is_found_once_in_the_order_of_the_parts(folder: Path) -> None:
    index = scan(folder)
    assert [e.recording_id for e in index.entries] == ["11", "12", "13", "21", "22", "23"]
    assert [e.patient_id for e in index.entries] == ["1", "2", "2", "3", "1", "4"]
    assert (index.entries[1].age, index.entries[1].sex) == (60, Sex.FEMALE)


def test_the_row_that_ends_each_part_is_left_out_and_counted(folder: Path) -> None:
    assert [d.recording_id for d in scan(folder).dropped] == ["0", "0"]


def test_a_recording_comes_back_without_padding_in_millivolts(folder: Path, recordings: tuple[Recording, ...]) -> None:
    ten, seven = (entry.read() for entry in scan(folder).entries[:2])
    assert (ten.sampling_rate, ten.duration, seven.duration) == (400, 10, 7)
    # Every fifth sample at 500 Hz is every fourth at 400 Hz; the filter between smooths a little.
    original, found = recordings[0].signal[:, ::5], ten.signal[:, ::4]
    assert np.corrcoef(original.ravel(), found.ravel())[0, 1] > 0.999
    for lead, (there, here) in enumerate(zip(original, found, strict=True)):
        assert np.std(here - there) < 0.05 * np.std(there), LEADS[lead]


def test_a_tracing_of_zeros_is_refused_when_it_is_read(folder: Path) -> None:
    with pytest.raises(SignalMalformed, match="zeros"):
        scan(folder).entries[2].read()


def test_zeros_within_a_recording_are_no_padding() -> None:
    padded = np.zeros((10, 12), np.float32)
    padded[3, 0] = padded[6, 11] = 1
    assert unpadded(padded).shape == (4, 12)


def test_rows_are_found_by_exam_id_and_not_by_their_order_in_the_table(folder: Path) -> None:
    lines = (folder / "exams.csv").read_text().splitlines()
    (folder / "exams.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    found = {e.recording_id: e.labels for e in scan(folder).entries}
    assert found["11"][NORM] is True
    assert found["12"][CD] is True


def test_an_exam_whose_part_is_absent_is_left_out_with_the_reason(folder: Path) -> None:
    (folder / "exams_part1.hdf5").unlink()
    index = scan(folder)
    assert len(index.entries) == 3
    assert {d.recording_id: d.reason for d in index.dropped}["21"] == "exams_part1.hdf5 is absent or lacks it"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"normal_ecg"}, {NORM: True, MI: False, STTC: False, CD: False, HYP: False}),
        ({"RBBB"}, {CD: True, NORM: False}),
        ({"LBBB", "AF"}, {CD: True, NORM: False}),
        ({"1dAVb"}, {CD: True, NORM: False}),
        ({"1dAVb", "normal_ecg"}, {CD: True}),  # they contradict each other: only what was named is taken
        ({"SB"}, {}),  # the reader may have withheld "normal" for the rate alone
        ({"AF"}, {}),
        ({"SB", "normal_ecg"}, {NORM: True, MI: False, STTC: False, CD: False, HYP: False}),
        (set(), {NORM: False}),  # something else than these six was found; the table does not say what
    ],
)
def test_labels_say_what_the_table_says_and_no_more(stated: set[str], expected: dict[Superclass, bool]) -> None:
    assert labels_of({**NO_LABEL, **dict.fromkeys(stated, "True")}) == expected


def test_an_age_or_sex_that_is_not_stated_is_unknown(folder: Path) -> None:
    nobody = {"age": "", "is_male": ""}
    write_table(folder, [[Exam(11, 1, extra=nobody), Exam(12, 2, age=999)], []])
    first, second = scan(folder).entries
    assert (first.age, first.sex, second.age) == (None, Sex.UNKNOWN, None)


def test_a_part_that_was_replaced_is_read_anew(folder: Path, recordings: tuple[Recording, ...]) -> None:
    before = scan(folder).entries[0]
    before.read()
    (folder / "new").mkdir()
    write_part(folder / "new", 0, [Exam(11, 1)], [tracing(recordings[5], 7.0)])
    (folder / "new" / "exams_part0.hdf5").replace(folder / "exams_part0.hdf5")
    after = scan(folder).entries[0]
    assert after.source.key != before.source.key
    assert after.read().duration == 7


def test_a_table_without_a_needed_column_names_it(folder: Path) -> None:
    text = (folder / "exams.csv").read_text()
    (folder / "exams.csv").write_text(text.replace("normal_ecg", "normal"))
    with pytest.raises(ValueError, match="normal_ecg"):
        scan(folder)


def test_a_part_that_is_no_hdf5_file_is_named(folder: Path) -> None:
    (folder / "exams_part2.hdf5").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="exams_part2"):
        scan(folder)
