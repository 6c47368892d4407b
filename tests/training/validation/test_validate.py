"""Validation of whole data sets: the real ones with the limits as they are, and what stays sealed."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.training.validation.sets import LIMITS, SIZE, data_set
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split
from training.validation.report import Blocked, require_valid
from training.validation.validate import validate


def test_the_real_ptb_xl_passes_with_warnings_about_what_is_unknown(shared_data: Path) -> None:
    """All tables, and the samples of 40 recordings."""
    report = validate(open_dataset("ptbxl", shared_data / "ptbxl"), sample=40)
    assert [f.line for f in report.blocking] == []
    assert [f.name for f in report.warnings] == ["sex is known", "age is known"]
    assert (report.recordings, report.looked_at) == ({"train": 1490, "val": 242, "test": 124}, 40)
    groups = {g.name: g for g in report.groups}
    assert groups["sex/female"].recordings + groups["sex/male"].recordings == 422  # the rest of the 454 is sealed


def test_twenty_recordings_of_chapman_are_no_training_set_and_the_reason_is_told(shared_data: Path) -> None:
    report = validate(open_dataset("chapman", shared_data / "chapman"))
    with pytest.raises(Blocked, match="chapman is blocked"):
        require_valid(report)
    broken = {f.name: f for f in report.findings if not f.passed}
    assert broken["a clinician could read them"].examples == ("JS20004", "JS20008")  # three chest leads are zero
    assert broken["all twelve leads hold a signal"].failed == 2
    assert broken["every known class can be learnt"].failed == 5
    assert not {f for f in broken if broken[f].suite in ("schema", "values", "leakage")}


def test_labels_of_the_test_split_change_nothing(healthy: tuple[Entry, ...]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    other = [replace(e, labels={}) if e.split is Split.TEST else e for e in healthy]
    reports = [validate(data_set(entries), LIMITS, sample=5, at=at) for entries in (healthy, other)]
    assert reports[0] == reports[1]


def test_a_leak_into_the_test_split_is_found_without_its_labels(healthy: tuple[Entry, ...]) -> None:
    leaking = replace(healthy[-1], patient_id=healthy[0].patient_id, source=healthy[1].source)
    report = validate(data_set([*healthy[:-1], leaking]), LIMITS)
    found = {f.name: f.examples for f in report.blocking}
    assert found == {
        "every patient is in one split": ("R0", "R59"),
        "no samples are in two splits": ("R1", "R59"),
    }


def test_a_sample_is_drawn_from_all_and_is_the_same_each_time(healthy: tuple[Entry, ...]) -> None:
    told: list[tuple[int, int]] = []
    reports = [
        validate(data_set(healthy), LIMITS, sample=7, progress=lambda done, total: told.append((done, total)))
        for _ in range(2)
    ]
    assert [r.looked_at for r in reports] == [7, 7]
    assert told[6] == (7, 7)
    assert reports[0].findings == reports[1].findings
    assert validate(data_set(healthy[:3]), LIMITS, sample=SIZE).looked_at == 3


def test_a_report_carries_the_time_it_was_asked_for(healthy: tuple[Entry, ...]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert validate(data_set(healthy), LIMITS, sample=1, at=at).computed_at == at
