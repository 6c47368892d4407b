"""Asset checks: what was found of a data set by suite, the conditions of the promotion gate, and what is flagged of
live results. A broken one that blocks stops everything downstream of its asset; the check says why."""

from collections.abc import Sequence

import dagster as dg

from training.monitoring.run import Report
from training.promotion import Condition, Verdict
from training.promotion import Finding as GateFinding
from training.validation.expectations import SUITES
from training.validation.report import Finding, Severity, ValidationReport

NOTHING_FLAGGED = "nothing_flagged"
SUITE_NAMES = tuple(suite.__name__ for suite in SUITES)


def suite_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """A blocking check for each suite of expectations."""
    return [
        dg.AssetCheckSpec(suite.__name__, asset=asset, description=suite.__doc__, blocking=True) for suite in SUITES
    ]


def suite_results(report: ValidationReport) -> list[dg.AssetCheckResult]:
    """How each suite came out."""
    return [_suite(name, [f for f in report.findings if f.suite == name]) for name in SUITE_NAMES]


def _suite(name: str, findings: Sequence[Finding]) -> dg.AssetCheckResult:
    broken = [f for f in findings if not f.passed]
    blocks = any(f.severity is Severity.BLOCK for f in broken)
    return dg.AssetCheckResult(
        check_name=name,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        description="; ".join(f.line for f in broken) or f"all {len(findings)} expectations hold",
        metadata={"expectations": len(findings), "broken": len(broken)},
    )


def gate_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """A blocking check for each condition of the gate."""
    return [
        dg.AssetCheckSpec(_check_name(condition), asset=asset, description=condition.value, blocking=True)
        for condition in Condition
    ]


def gate_results(verdict: Verdict) -> list[dg.AssetCheckResult]:
    """How each condition came out. One that is waived warns and blocks nothing."""
    return [_condition(finding) for finding in verdict.findings]


def flag_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """One that warns and blocks nothing: nothing is made of a report."""
    return [dg.AssetCheckSpec(NOTHING_FLAGGED, asset=asset, description="Whether nobody has to look.")]


def flag_results(report: Report) -> list[dg.AssetCheckResult]:
    """What is flagged, with its figures."""
    flagged = [f"{finding.title}. {finding.text}" for finding in report.findings if finding.flag]
    untold = [finding.key for finding in report.findings if finding.flag is None]
    return [
        dg.AssetCheckResult(
            check_name=NOTHING_FLAGGED,
            passed=not report.flag,
            severity=dg.AssetCheckSeverity.WARN,
            description=" ".join(flagged) or "nothing is flagged",
            metadata={"cannot be told": untold},
        )
    ]


def _condition(finding: GateFinding) -> dg.AssetCheckResult:
    figures = {"value": finding.value, "threshold": finding.threshold, "margin": finding.margin}
    return dg.AssetCheckResult(
        check_name=_check_name(finding.condition),
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN if finding.waived else dg.AssetCheckSeverity.ERROR,
        description=finding.text + (f" (waived: {finding.waived.value})" if finding.waived else ""),
        metadata={name: value for name, value in figures.items() if value is not None},
    )


def _check_name(condition: Condition) -> str:
    return condition.name.lower()
