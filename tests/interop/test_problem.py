import json

from inference.errors import InvalidContent, NotFound, UnitMissing
from interop.problem import problem, problem_of


def test_a_problem_has_the_status_phrase_as_title_because_it_has_no_type() -> None:
    found = json.loads(problem_of(NotFound("no such report"), "abc-1"))
    assert found == {
        "title": "Not Found",
        "status": 404,
        "detail": "no such report",
        "code": "not-found",
        "correlation_id": "abc-1",
    }


def test_the_member_that_is_wrong_is_named() -> None:
    assert json.loads(problem_of(UnitMissing("no unit", element="unit"), "-"))["element"] == "unit"


def test_several_problems_are_all_listed() -> None:
    error = InvalidContent("a", element="x", problems=[("x", "a"), ("y", "b")])
    assert json.loads(problem_of(error, "-"))["errors"] == [
        {"element": "x", "detail": "a"},
        {"element": "y", "detail": "b"},
    ]


def test_further_members_can_be_added() -> None:
    assert json.loads(problem(503, "not-ready", "failing: database", "-", failing=["database"]))["failing"] == [
        "database"
    ]
