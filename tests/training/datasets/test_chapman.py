import csv
from pathlib import Path

import pytest

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.chapman import labels_of, meanings, scan

NORM, MI, STTC, CD, HYP = Superclass
SINUS_RHYTHM, ATRIAL_FIBRILLATION = "426783006", "164889003"


def test_the_real_recordings_are_found_with_age_and_sex(chapman: Path) -> None:
    index = scan(chapman)
    assert [e.recording_id for e in index.entries] == [f"JS{n}" for n in range(20000, 20020)]
    assert not index.dropped
    last_but_one = index.entries[18]
    assert (last_but_one.age, last_but_one.sex) == (86, Sex.MALE)
    assert last_but_one.labels == {NORM: False, MI: False, STTC: False, CD: True, HYP: False}
    assert last_but_one.read().signal.shape == (12, 5000)


def test_every_code_of_the_published_tables_is_placed(chapman: Path) -> None:
    with (chapman / "ConditionNames_SNOMED-CT.csv").open(newline="", encoding="utf-8-sig") as file:
        conditions = {row["Snomed_CT"] for row in csv.DictReader(file)}
    counted = set()
    for name in ("dx_mapping_scored.csv", "dx_mapping_unscored.csv"):
        with (chapman / name).open(newline="") as file:
            rows = csv.DictReader(file)
            counted |= {r["SNOMEDCTCode"] for r in rows if int(r["Chapman_Shaoxing"]) + int(r["Ningbo"])}
    assert conditions | counted == set(meanings())


def test_every_code_of_the_real_recordings_is_placed(chapman: Path) -> None:
    lines = [line for path in chapman.rglob("*.hea") for line in path.read_text().splitlines() if "Dx:" in line]
    assert {code for line in lines for code in line.partition("Dx:")[2].strip().split(",")} <= set(meanings())


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([SINUS_RHYTHM], {NORM: True, MI: False, STTC: False, CD: False, HYP: False}),
        ([ATRIAL_FIBRILLATION], {MI: False, STTC: False, CD: False, HYP: False}),  # a rhythm says nothing on NORM
        ([SINUS_RHYTHM, "164865005"], {NORM: False, MI: True, STTC: False, CD: False, HYP: False}),
        ([SINUS_RHYTHM, "713427006", "164873001"], {NORM: False, MI: False, STTC: False, CD: True, HYP: True}),
        ([SINUS_RHYTHM, "164917005"], {NORM: False, STTC: False, CD: False, HYP: False}),  # Q waves: perhaps an infarct
        ([SINUS_RHYTHM, "55827005"], {MI: False, STTC: False, CD: False}),  # high voltage: perhaps hypertrophy
        (["164865005", "164917005"], {NORM: False, MI: True, STTC: False, CD: False, HYP: False}),
        (["10370003"], {NORM: False}),  # a paced rhythm hides everything
        ([SINUS_RHYTHM, "999"], {}),  # a code that is in no table
        ([], {MI: False, STTC: False, CD: False, HYP: False}),
    ],
)
def test_labels_follow_the_table(codes: list[str], expected: dict[Superclass, bool]) -> None:
    assert labels_of(codes) == expected


def test_the_malformed_headers_of_the_release_are_left_out_with_the_reason(chapman: Path, tmp_path: Path) -> None:
    group = tmp_path / "WFDBRecords" / "01" / "019"
    group.mkdir(parents=True)
    lines = (chapman / "WFDBRecords/20/200/JS20018.hea").read_text().replace("JS20018", "JS01052").splitlines()
    merged = [lines[0] + "00/mV 16 0 39 22856 0 I", *lines[2:]]  # as PhysioNet gives JS01052 out
    (group / "JS01052.hea").write_text("\n".join(merged) + "\n")
    (group / "JS01053.hea").write_text("\n".join(line for line in lines if "Dx" not in line))
    (group / "JS01054.hea").write_text("\n".join(lines))
    index = scan(tmp_path)
    assert not index.entries
    assert [d.reason for d in index.dropped] == [
        "its header is malformed",
        "its header names no diagnosis",
        "its samples are absent",
    ]


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="WFDBRecords"):
        scan(tmp_path)
