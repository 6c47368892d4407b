import json

from inference.errors import InternalError, InvalidContent, UnitMissing
from interop.errors import ANSWERS
from interop.fhir.outcome import Issue, outcome, outcome_of
from interop.resources.conformance import resource
from tests.interop.valid import valid


def test_an_error_names_the_element_and_says_what_is_wrong() -> None:
    element = "Observation.component[3].valueSampledData.origin"
    (issue,) = json.loads(outcome_of(UnitMissing("no unit", element=element), "abc-1"))["issue"]
    assert issue["severity"] == "error"
    assert issue["code"] == "required"
    assert issue["details"] == {
        "coding": [{"system": "urn:ecg-interop:codesystem:error", "code": "unit-missing"}],
        "text": "no unit",
    }
    assert issue["expression"] == [element]
    assert "unit-missing" in issue["diagnostics"]
    assert "abc-1" in issue["diagnostics"]


def test_every_problem_becomes_an_issue_of_its_own() -> None:
    error = InvalidContent("a", problems=[("Observation.status", "a"), (None, "b")])
    issues = json.loads(outcome_of(error, "-"))["issue"]
    assert [issue["details"]["text"] for issue in issues] == ["a", "b"]
    assert "expression" not in issues[1]


def test_a_failure_of_ours_is_fatal() -> None:
    (issue,) = json.loads(outcome_of(InternalError("oops"), "-"))["issue"]
    assert issue["severity"] == "fatal"
    assert issue["code"] == "exception"


def test_outcomes_are_valid_fhir() -> None:
    valid("OperationOutcome", outcome_of(InvalidContent("a", problems=[("x", "a"), (None, "b")]), "c"))
    valid("OperationOutcome", json.dumps(outcome(Issue("information", "informational", "stored"))).encode())


def test_the_code_system_lists_every_error() -> None:
    found = resource("CodeSystem", "error")
    assert {one["code"]: one["display"] for one in found["concept"]} == {c: a.title for c, a in ANSWERS.items()}
    assert found["count"] == len(ANSWERS)
