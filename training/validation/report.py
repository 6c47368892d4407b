"""What a validation found."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from inference.labels import Superclass
from training.validation.bias import GroupRates, LabelRate


class Severity(StrEnum):
    """`block`: nothing may be made of the data set. `warn`: a person should know."""

    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation and what was seen.

    name: a sentence about a data set that is as it should be. expected, seen: in words. reason: why it matters.
    rows: how many the expectation looked at. failed: how many broke it, of which a share may be tolerated. examples:
    names of some that broke it, nothing else about them.
    """

    name: str
    suite: str
    severity: Severity
    passed: bool
    expected: str
    seen: str
    reason: str
    rows: int
    failed: int
    examples: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """In one line."""
        named = f" ({', '.join(self.examples)}{', ...' if self.failed > len(self.examples) else ''})"
        return f"{self.name}: {self.seen}{named if self.examples else ''}; expected {self.expected}"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """recordings: per split. looked_at: recordings whose samples were read, of all. limits: what was tolerated."""

    dataset: str
    version: str
    computed_at: datetime
    recordings: Mapping[str, int]
    looked_at: int
    limits: Mapping[str, float]
    findings: tuple[Finding, ...]
    groups: tuple[GroupRates, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Broken expectations that stop everything downstream."""
        return self._broken(Severity.BLOCK)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Broken expectations that a person should know of."""
        return self._broken(Severity.WARN)

    @property
    def passed(self) -> bool:
        """Whether the data set may be used."""
        return not self.blocking

    def _broken(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if not f.passed and f.severity is severity)

    def to_json(self) -> str:
        """One JSON document; `from_json` takes it."""
        return json.dumps({**asdict(self), "computed_at": self.computed_at.isoformat()}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "ValidationReport":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` did not write."""
        value: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **value,
                "computed_at": datetime.fromisoformat(value["computed_at"]),
                "findings": tuple(_finding(f) for f in value["findings"]),
                "groups": tuple(_group(g) for g in value["groups"]),
            }
        )


def _finding(value: dict[str, Any]) -> Finding:
    return Finding(**{**value, "severity": Severity(value["severity"]), "examples": tuple(value["examples"])})


def _group(value: dict[str, Any]) -> GroupRates:
    rates = {Superclass(name): LabelRate(**rate) for name, rate in value["rates"].items()}
    return GroupRates(**{**value, "rates": rates})


class Blocked(Exception):
    """A data set that must not be used. findings: why."""

    def __init__(self, report: ValidationReport) -> None:
        first, *more = report.blocking
        others = f" (and {len(more)} more)" if more else ""
        super().__init__(f"{report.dataset} is blocked: {first.line}{others}")
        self.findings = report.blocking


def require_valid(report: ValidationReport) -> ValidationReport:
    """The report itself. Raises Blocked when any blocking expectation is broken."""
    if not report.passed:
        raise Blocked(report)
    return report
