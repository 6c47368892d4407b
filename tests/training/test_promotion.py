import math
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes import NOW
from training.promotion import (
    Condition,
    Evidence,
    Limits,
    Waivable,
    Waiver,
    evidence_of,
    judge,
    waiver_json,
)

GOOD = Evidence(
    macro_auc=0.914,
    parity_by_sex=0.91,
    parity_by_age=0.85,
    broken_files=0,
    parity=2e-7,
    forward_p99_ms=4.2,
    megabytes=79.3,
)


def good(**figures: Any) -> Evidence:
    """A model that passes, but for these figures."""
    return replace(GOOD, **figures)


WAIVER = Waiver(waives=frozenset({Waivable.FAIRNESS}), by="Ada Byron", reason="pilot on consenting adults", date=NOW)

# A condition, a value just good enough, one just not, and by how much that one fails.
BOUNDARIES = [
    ("macro_auc", Condition.MACRO_AUC, 0.9001, 0.90, 0.0),
    ("macro_auc", Condition.MACRO_AUC, 0.9001, 0.8893, -0.0107),
    ("parity_by_sex", Condition.PARITY_BY_SEX, 0.8, 0.7999, -0.0001),
    ("parity_by_sex", Condition.PARITY_BY_SEX, 0.8, 0.57, -0.23),
    ("parity_by_age", Condition.PARITY_BY_AGE, 0.8, 0.7999, -0.0001),
    ("broken_files", Condition.CHECKSUM, 0, 1, -1),
    ("parity", Condition.ONNX_PARITY, 1e-4, 1.1e-4, -1e-5),
    ("forward_p99_ms", Condition.LATENCY, 4.99, 5.0, 0.0),
    ("megabytes", Condition.SIZE, 99.9, 100.0, 0.0),
]


@pytest.mark.parametrize(("field", "condition", "enough", "short", "margin"), BOUNDARIES)
def test_each_condition_lets_through_and_holds_back_at_its_boundary(
    field: str, condition: Condition, enough: float, short: float, margin: float
) -> None:
    assert judge(good(**{field: enough})).promoted
    verdict = judge(good(**{field: short}))
    (failure,) = verdict.failures
    assert not verdict.promoted
    assert failure.condition is condition
    assert failure.margin == pytest.approx(margin)
    assert condition.value in failure.text


@pytest.mark.parametrize("field", list(Evidence.__dataclass_fields__))
@pytest.mark.parametrize("unknown", [None, math.nan])
def test_what_is_not_known_has_not_passed(field: str, unknown: float | None) -> None:
    verdict = judge(good(**{field: unknown}))
    assert len(verdict.failures) == 1
    assert not verdict.promoted


def test_every_condition_that_failed_is_named_with_how_far_it_is_off() -> None:
    verdict = judge(good(macro_auc=0.8893, parity_by_sex=0.57, parity_by_age=None))
    assert [failure.text for failure in verdict.failures] == [
        "macro-AUC on the test fold: 0.8893, more than 0.9 is needed; fails by 0.0107",
        "urgent rate by sex, lowest over highest: 0.57, at least 0.8 is needed; fails by 0.23",
        "predicted over true urgent rate by age, lowest over highest: unknown, at least 0.8 is needed; not assessed",
    ]


def test_a_margin_is_positive_on_the_good_side_whichever_that_is() -> None:
    margins = {finding.condition: finding.margin for finding in judge(GOOD).findings}
    assert margins[Condition.MACRO_AUC] == pytest.approx(0.014)
    assert margins[Condition.SIZE] == pytest.approx(20.7)


def test_a_waiver_for_fairness_lets_a_model_pass_that_says_that_fairness_was_not_assessed() -> None:
    unassessed = good(parity_by_sex=None, parity_by_age=None)
    verdict = judge(unassessed, WAIVER)
    assert verdict.promoted
    assert verdict.says == "fairness not assessed"
    assert waiver_json(verdict) == {
        "waives": ["fairness"],
        "by": "Ada Byron",
        "reason": "pilot on consenting adults",
        "date": "2026-03-02T09:30:00+00:00",
        "says": "fairness not assessed",
    }


def test_fairness_that_was_assessed_and_failed_is_not_called_unassessed() -> None:
    assert judge(good(parity_by_sex=0.57), WAIVER).says == "fairness requirement not met"


def test_a_waiver_that_was_not_needed_leaves_no_trace() -> None:
    verdict = judge(GOOD, WAIVER)
    assert verdict.promoted
    assert (verdict.says, waiver_json(verdict)) == (None, None)


@pytest.mark.parametrize(
    "change", [{"macro_auc": 0.9}, {"broken_files": 1}, {"parity": 0.1}, {"megabytes": 101.0}, {"forward_p99_ms": 9.0}]
)
def test_a_waiver_for_fairness_covers_nothing_else(change: dict[str, float]) -> None:
    assert not judge(good(**change), WAIVER).promoted


def test_no_waiver_can_name_the_score() -> None:
    everything = replace(WAIVER, waives=frozenset(Waivable))
    assert not judge(good(macro_auc=0.89), everything).promoted


def test_what_was_waived_is_told_for_each() -> None:
    everything = replace(WAIVER, waives=frozenset(Waivable))
    verdict = judge(good(parity_by_age=None, forward_p99_ms=9.0), everything)
    assert verdict.says == "fairness not assessed; latency requirement not met"


@pytest.mark.parametrize("missing", [{"by": " "}, {"reason": ""}, {"waives": frozenset()}])
def test_a_waiver_without_person_reason_or_subject_is_none(missing: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="person"):
        replace(WAIVER, **missing)


def test_the_limits_are_settable_and_only_theirs_change() -> None:
    slow = good(forward_p99_ms=9.0)
    assert not judge(slow).promoted
    assert judge(slow, limits=Limits(forward_p99_ms=10.0)).promoted


def test_the_evidence_of_a_card_is_its_test_fold_and_the_ratios_of_its_fairness_report() -> None:
    value = {"value": 0.91, "low": 0.88, "high": 0.93}
    metrics = {"val": {"macro_auc": {"value": 0.99}}, "test": {"macro_auc": value}}
    fairness = {
        "sex": {"parity_ratio": {"value": 0.87}, "predicted_to_true_ratio": {"value": 0.1}},
        "age": {"parity_ratio": {"value": 0.2}, "predicted_to_true_ratio": {"value": 0.83}},
    }
    found = evidence_of({"metrics": metrics}, fairness)
    assert found == {"macro_auc": 0.91, "parity_by_sex": 0.87, "parity_by_age": 0.83}


def test_a_model_that_was_never_tested_or_judged_has_no_evidence() -> None:
    unknown = {"macro_auc": None, "parity_by_sex": None, "parity_by_age": None}
    assert evidence_of({"metrics": {"val": {"macro_auc": {"value": 0.99}}}}, None) == unknown
    too_few = {"sex": {"parity_ratio": None}, "age": {"predicted_to_true_ratio": None}}
    assert evidence_of({"metrics": {}}, too_few) == unknown


def test_a_verdict_as_json_has_every_condition() -> None:
    written = judge(good(macro_auc=0.89)).to_json()
    assert written["promoted"] is False
    assert [row["condition"] for row in written["conditions"]] == [condition.value for condition in Condition]
    assert written["conditions"][0] == {
        "condition": "macro-AUC on the test fold",
        "value": 0.89,
        "asks": "more than",
        "threshold": 0.9,
        "passed": False,
        "margin": pytest.approx(-0.01),
        "waived": False,
    }
