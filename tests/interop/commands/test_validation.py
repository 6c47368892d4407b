"""`dataset validate`, as a shell would see it."""

import csv
import json
from pathlib import Path

import pytest

from tests.interop.commands.conftest import Command

CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")


@pytest.fixture
def cohort(examples: Path, tmp_path: Path) -> Path:
    """A cohort of two recordings: readable, and far too small."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    for path in examples.glob("*_hr.*"):
        (folder / path.name).symlink_to(path)
    with (folder / "superclass_labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("ecg_id", "filename", "patient_id", "split", "age", "sex", *CLASSES))
        table.writerow(("10", "00010_hr", "P1", "train", "52", "F", "1", "0", "0", "0", "0"))
        table.writerow(("184", "00184_hr", "P2", "val", "71", "M", "0", "1", "0", "0", "0"))
    return folder


def test_a_cohort_that_is_too_small_is_blocked_with_the_reason_in_one_line(command: Command, cohort: Path) -> None:
    blocked = command("dataset", "validate", "cohort", cohort)
    assert blocked.exit_code == 1
    (reason,) = blocked.err.strip().splitlines()
    assert reason.startswith("cohort is blocked: every split has recordings: 1 of 3")
    assert "(test)" in reason
    assert b"every known class can be learnt" in blocked.out


def test_a_data_set_that_passes_exits_with_0_and_writes_its_report(
    command: Command, shared_data: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    passed = command("dataset", "validate", "ptbxl", shared_data / "ptbxl", "--sample", 10, "--report", report)
    assert passed.exit_code == 0
    assert sorted(path.name for path in report.iterdir()) == ["validation.html", "validation.json", "validation.md"]
    assert "29 of 31 expectations hold" in passed.out.decode()
    assert passed.err.count("wrote") == 3


def test_a_program_gets_json(command: Command, cohort: Path) -> None:
    blocked = command("dataset", "validate", "cohort", cohort, "--json")
    report = json.loads(blocked.out)
    assert (blocked.exit_code, report["dataset"], report["looked_at"]) == (1, "cohort", 2)


@pytest.mark.parametrize("kind", ["cohort", "mimic"])
def test_what_is_no_data_set_is_wrong_usage(command: Command, kind: str, tmp_path: Path) -> None:
    refused = command("dataset", "validate", kind, tmp_path)
    assert (refused.exit_code, refused.out) == (2, b"")
    assert len(refused.err.strip().splitlines()) == 1
