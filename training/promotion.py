"""The promotion gate: what a model must show before it may be the champion. Pure: figures in, verdict out.

It needs a macro-AUC above 0.90 on the official test fold, and fairness: urgent results as frequent among women as among
men (lowest over highest rate at least 0.8), and, because true urgency grows with age, predicted over true urgent rate
about equal over the age groups (at least 0.8). And the release must be sound: checksums hold, the graph calculates
what the weights do, a forward pass is fast enough, and the files are small enough to be kept in a repository.

What is not known has not passed. A waiver lets a model through without a condition that may be waived; the model then
says so in every result. How good it is and whether it is what it says to be can not be waived.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

TEST = "test"  # the card's figures on the official test fold


class Waivable(StrEnum):
    """What a waiver can name."""

    FAIRNESS = "fairness"
    LATENCY = "latency"


class Condition(StrEnum):
    """What the gate asks for."""

    MACRO_AUC = "macro-AUC on the test fold"
    PARITY_BY_SEX = "urgent rate by sex, lowest over highest"
    PARITY_BY_AGE = "predicted over true urgent rate by age, lowest over highest"
    CHECKSUM = "files whose checksum does not hold"
    ONNX_PARITY = "largest difference between ONNX and torch"
    LATENCY = "forward pass p99, ms"
    SIZE = "size of the release, MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Thresholds of the gate. forward_p99_ms: what the budget of 8 ms for features and forward pass leaves after 3 ms
    of features, on two idle cores; settable, because machines differ."""

    macro_auc: float = 0.90
    fairness_ratio: float = 0.8
    parity: float = 1e-4
    forward_p99_ms: float = 5.0
    megabytes: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a model; None where something could not be judged. Ratios are 0 to 1. broken_files: of the
    release, by checksum. parity: largest difference of a probability. megabytes: of all its files."""

    macro_auc: float | None
    parity_by_sex: float | None
    parity_by_age: float | None
    broken_files: int | None
    parity: float | None
    forward_p99_ms: float | None
    megabytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Who takes the responsibility for what, and why. Raises ValueError when it names no person, reason or subject."""

    waives: frozenset[Waivable]
    by: str
    reason: str
    date: datetime

    def __post_init__(self) -> None:
        if not (self.by.strip() and self.reason.strip() and self.waives):
            raise ValueError("a waiver names a person, a reason and what it waives")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Requirement:
    """One row of the gate. holds: compares a value with its threshold. sign: of the margin, +1 where more is better."""

    condition: Condition
    value: Callable[[Evidence], float | None]
    threshold: Callable[[Limits], float]
    holds: Callable[[float, float], bool]
    sign: int
    asks: str
    waivable: Waivable | None = None


REQUIREMENTS = (
    _Requirement(
        condition=Condition.MACRO_AUC, value=lambda e: e.macro_auc, threshold=lambda x: x.macro_auc,
        holds=operator.gt, sign=1, asks="more than",
    ),
    _Requirement(
        condition=Condition.PARITY_BY_SEX, value=lambda e: e.parity_by_sex, threshold=lambda x: x.fairness_ratio,
        holds=operator.ge, sign=1, asks="at least", waivable=Waivable.FAIRNESS,
    ),
    _Requirement(
        condition=Condition.PARITY_BY_AGE, value=lambda e: e.parity_by_age, threshold=lambda x: x.fairness_ratio,
        holds=operator.ge, sign=1, asks="at least", waivable=Waivable.FAIRNESS,
    ),
    _Requirement(
        condition=Condition.CHECKSUM, value=lambda e: e.broken_files, threshold=lambda _: 0,
        holds=operator.le, sign=-1, asks="at most",
    ),
    _Requirement(
        condition=Condition.ONNX_PARITY, value=lambda e: e.parity, threshold=lambda x: x.parity,
        holds=operator.le, sign=-1, asks="at most",
    ),
    _Requirement(
        condition=Condition.LATENCY, value=lambda e: e.forward_p99_ms, threshold=lambda x: x.forward_p99_ms,
        holds=operator.lt, sign=-1, asks="less than", waivable=Waivable.LATENCY,
    ),
    _Requirement(
        condition=Condition.SIZE, value=lambda e: e.megabytes, threshold=lambda x: x.megabytes,
        holds=operator.lt, sign=-1, asks="less than",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition and how it came out. margin: how far on the good side of the threshold, negative on the other;
    None where nothing is known. waived: it did not pass, and a waiver covers it."""

    condition: Condition
    value: float | None
    threshold: float
    asks: str
    passed: bool
    margin: float | None
    waived: Waivable | None = None

    @property
    def text(self) -> str:
        """The condition, its value, and by how much it failed."""
        asked = f"{self.condition.value}: {_figure(self.value)}, {self.asks} {self.threshold:g} is needed"
        if self.passed:
            return asked
        short = "not assessed" if self.margin is None else f"fails by {_figure(abs(self.margin))}"
        return f"{asked}; {short}" + ("; waived" if self.waived else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says. waiver: as given, whether or not it was needed."""

    findings: tuple[Finding, ...]
    waiver: Waiver | None = None

    @property
    def promoted(self) -> bool:
        """Whether the model may be the champion."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What stands in the way."""
        return tuple(finding for finding in self.findings if not finding.passed and finding.waived is None)

    @property
    def says(self) -> str | None:
        """What every result of the model has to say of what was waived; None when nothing had to be."""
        waived = dict.fromkeys(finding.waived for finding in self.findings if finding.waived)
        return "; ".join(_says(what, self.findings) for what in waived if what) or None

    def to_json(self) -> dict[str, Any]:
        """For a card and for a program."""
        return {
            "promoted": self.promoted,
            "conditions": [
                {
                    "condition": finding.condition.value,
                    "value": finding.value,
                    "asks": finding.asks,
                    "threshold": finding.threshold,
                    "passed": finding.passed,
                    "margin": finding.margin,
                    "waived": finding.waived is not None,
                }
                for finding in self.findings
            ],
            "waiver": waiver_json(self),
        }


def judge(evidence: Evidence, waiver: Waiver | None = None, limits: Limits | None = None) -> Verdict:
    """Hold every condition against what is known."""
    asked = limits or Limits()
    waives = waiver.waives if waiver else frozenset()
    return Verdict(findings=tuple(_found(row, evidence, asked, waives) for row in REQUIREMENTS), waiver=waiver)


def evidence_of(card: Mapping[str, Any], fairness: Mapping[str, Any] | None) -> dict[str, float | None]:
    """The part of the evidence that a card and a fairness report (`training.fairness.FairnessReport.to_json`) hold."""
    test = card["metrics"].get(TEST)
    return {
        "macro_auc": _value(test and test["macro_auc"]),
        "parity_by_sex": _value(fairness and fairness["sex"]["parity_ratio"]),
        "parity_by_age": _value(fairness and fairness["age"]["predicted_to_true_ratio"]),
    }


def waiver_json(verdict: Verdict) -> dict[str, Any] | None:
    """The waiver as it stands in a card; None when none was needed."""
    if verdict.waiver is None or verdict.says is None:
        return None
    return {
        "waives": sorted({finding.waived.value for finding in verdict.findings if finding.waived}),
        "by": verdict.waiver.by,
        "reason": verdict.waiver.reason,
        "date": verdict.waiver.date.isoformat(timespec="seconds"),
        "says": verdict.says,
    }


def _found(row: _Requirement, evidence: Evidence, limits: Limits, waives: frozenset[Waivable]) -> Finding:
    value, threshold = row.value(evidence), row.threshold(limits)
    passed = value is not None and row.holds(value, threshold)
    return Finding(
        condition=row.condition,
        value=value,
        threshold=threshold,
        asks=row.asks,
        passed=passed,
        margin=None if value is None else row.sign * (value - threshold),
        waived=row.waivable if not passed and row.waivable in waives else None,
    )


def _says(what: Waivable, findings: tuple[Finding, ...]) -> str:
    """Not assessed, or assessed and failed: readers should know which."""
    unknown = any(finding.waived is what and finding.value is None for finding in findings)
    return f"{what.value} not assessed" if unknown else f"{what.value} requirement not met"


def _value(interval: Mapping[str, float] | None) -> float | None:
    return None if interval is None else float(interval["value"])


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
