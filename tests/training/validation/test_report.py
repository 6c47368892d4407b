from dataclasses import replace
from datetime import UTC, datetime

import pytest

from inference.labels import Superclass
from training.validation.bias import GroupRates, LabelRate
from training.validation.report import Blocked, Finding, Severity, ValidationReport, require_valid

BROKEN = Finding(
    "every patient is in one split", "leakage", Severity.BLOCK, False, "all", "2 of 60 (3.3%) not so", "because", 60, 2,
    ("R0", "R40"),
)  # fmt: skip
WARNED = replace(BROKEN, name="age is known", suite="bias", severity=Severity.WARN, failed=30)
HELD = replace(BROKEN, name="sex is known", passed=True, seen="all 60", failed=0, examples=())
RATES = {c: LabelRate(60, 12, 0.2, 0.1184, 0.3178) for c in Superclass}
GROUP = GroupRates("site", "A|B <i>", 60, 58, {**RATES, Superclass.HYP: LabelRate(3, 1, None, None, None)})
REPORT = ValidationReport(
    "cohort", "1", datetime(2026, 1, 2, 3, 4, tzinfo=UTC), {"train": 48, "val": 12}, 60, {"max_peak": 32.8},
    (BROKEN, WARNED, HELD), (replace(GROUP, attribute="all", group="all"), GROUP),
)  # fmt: skip


def test_a_report_survives_json() -> None:
    again = ValidationReport.from_json(REPORT.to_json())
    assert again == REPORT
    assert isinstance(again.findings[0].severity, Severity)
    assert list(again.groups[0].rates) == list(Superclass)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"findings": []}'])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        ValidationReport.from_json(text)


def test_only_a_blocking_expectation_that_is_broken_stops_a_data_set() -> None:
    assert (REPORT.passed, REPORT.blocking, REPORT.warnings) == (False, (BROKEN,), (WARNED,))
    warned = replace(REPORT, findings=(WARNED, HELD))
    assert require_valid(warned) is warned


def test_what_blocks_is_told_in_one_line_with_examples() -> None:
    with pytest.raises(Blocked) as caught:
        require_valid(replace(REPORT, findings=(BROKEN, replace(BROKEN, name="ages are possible"))))
    assert str(caught.value) == (
        "cohort is blocked: every patient is in one split: 2 of 60 (3.3%) not so (R0, R40); expected all (and 1 more)"
    )
    assert [f.name for f in caught.value.findings] == ["every patient is in one split", "ages are possible"]


def test_more_rows_than_examples_are_hinted_at() -> None:
    assert "(R0, R40, ...)" in WARNED.line
    assert "(" not in HELD.line
