from datetime import UTC, datetime

import dagster as dg

from orchestration.checks import flag_results, gate_results, gate_specs, suite_results
from tests.training.monitoring.seen import NOW, Seen, group
from training.monitoring.run import run
from training.promotion import Condition, Evidence, Waivable, Waiver, judge
from training.validation.report import Finding, Severity, ValidationReport

EVIDENCE = Evidence(
    macro_auc=0.85, parity_by_sex=None, parity_by_age=0.9, broken_files=0, parity=1e-6, forward_p99_ms=3.0, megabytes=60
)


def _report(*findings: Finding) -> ValidationReport:
    return ValidationReport("ptbxl", "1.0.3", datetime(2026, 1, 5, tzinfo=UTC), {}, 0, {}, findings, ())


def _broken(severity: Severity) -> Finding:
    return Finding("ages are possible", "values", severity, False, "0 to 130 years", "1 of 9", "a mark", 9, 1, ("17",))


def test_a_broken_expectation_that_blocks_is_an_error_with_the_recordings_named() -> None:
    by_name = {result.check_name: result for result in suite_results(_report(_broken(Severity.BLOCK)))}
    assert by_name["values"].severity is dg.AssetCheckSeverity.ERROR
    assert not by_name["values"].passed
    assert by_name["values"].description == "ages are possible: 1 of 9 (17); expected 0 to 130 years"
    assert by_name["leakage"].passed


def test_a_warning_does_not_block() -> None:
    by_name = {result.check_name: result for result in suite_results(_report(_broken(Severity.WARN)))}
    assert (by_name["values"].passed, by_name["values"].severity) == (False, dg.AssetCheckSeverity.WARN)


def test_each_condition_of_the_gate_is_a_check_that_says_by_how_much_it_fails() -> None:
    assert len(gate_specs("promotion_verdict")) == len(Condition)
    by_name = {result.check_name: result for result in gate_results(judge(EVIDENCE))}
    assert by_name["macro_auc"].severity is dg.AssetCheckSeverity.ERROR
    assert "fails by 0.05" in (by_name["macro_auc"].description or "")
    assert by_name["parity_by_age"].passed


def test_a_waived_condition_warns_and_does_not_block() -> None:
    waiver = Waiver(
        waives=frozenset({Waivable.FAIRNESS}), by="A. Tester", reason="few", date=datetime(2026, 1, 5, tzinfo=UTC)
    )
    by_name = {result.check_name: result for result in gate_results(judge(EVIDENCE, waiver))}
    assert by_name["parity_by_sex"].severity is dg.AssetCheckSeverity.WARN
    assert by_name["macro_auc"].severity is dg.AssetCheckSeverity.ERROR


def test_what_is_flagged_of_live_results_warns_with_its_figures_and_what_cannot_be_told_is_named() -> None:
    rows = group(100, 35) + group(100, 20, sex="female")
    (flagged,), (quiet,) = (flag_results(run("bias", Seen(seen), now=NOW)) for seen in (rows, rows[:100]))
    assert (flagged.passed, flagged.severity, quiet.passed) == (False, dg.AssetCheckSeverity.WARN, True)
    assert flagged.description == "Urgent rate by sex. Lowest over highest 0.57, needed 0.8: female 20.0%, male 35.0%."
    assert quiet.description == "nothing is flagged"
    assert quiet.metadata["cannot be told"].value == ["bias:sex", "bias:age"]
