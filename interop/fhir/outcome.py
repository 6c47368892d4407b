"""OperationOutcome: how every error, warning and note reads under `/fhir` (FHIR R4, operationoutcome.html)."""

from dataclasses import dataclass
from typing import Any

import orjson

from inference.errors import EcgError, Fault, InvalidContent
from interop.errors import answer_to
from interop.resources.codes import OWN_ERRORS


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue. severity: value set issue-severity. code: value set issue-type. expression: FHIRPath. error: our own
    code of an error (docs/errors.md)."""

    severity: str
    code: str
    text: str
    diagnostics: str | None = None
    expression: str | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The backbone element `OperationOutcome.issue`; FHIR allows no null and no empty list."""
        coding = {"coding": [{"system": OWN_ERRORS, "code": self.error}]} if self.error else {}
        issue: dict[str, Any] = {
            "severity": self.severity,
            "code": self.code,
            "details": {**coding, "text": self.text},
        }
        if self.diagnostics:
            issue["diagnostics"] = self.diagnostics
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


def outcome(*issues: Issue) -> dict[str, Any]:
    """An OperationOutcome resource. At least one issue is required."""
    return {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in issues]}


def outcome_of(error: EcgError, correlation_id: str) -> bytes:
    """The OperationOutcome of an error, with one issue for each problem found."""
    answer = answer_to(error)
    severity = "error" if error.fault is Fault.SENDER else "fatal"
    diagnostics = f"{answer.title} ({error.code}); correlation id {correlation_id}"
    problems = error.problems if isinstance(error, InvalidContent) else ((error.element, error.message),)
    return orjson.dumps(
        outcome(*(Issue(severity, answer.issue, text, diagnostics, element, error.code) for element, text in problems))
    )
