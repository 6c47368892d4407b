"""docs/risk.json against the tests and the code that it names, and docs/risk.md against it."""

import json
from typing import Any

import pytest

from scripts.risk import level, risk_markdown
from tests.conftest import ROOT
from tests.named_tests import exists

SOURCE: dict[str, Any] = json.loads((ROOT / "docs/risk.json").read_text())
RISKS: list[dict[str, Any]] = SOURCE["risks"]
ENOUGH = 25


def named(risk: dict[str, Any]) -> str:
    return str(risk["id"])


def test_the_hazards_are_numbered_and_enough() -> None:
    assert [risk["id"] for risk in RISKS] == [f"R{number:02}" for number in range(1, len(RISKS) + 1)]
    assert len(RISKS) >= ENOUGH
    assert len({risk["hazard"] for risk in RISKS}) == len(RISKS)


@pytest.mark.parametrize("risk", RISKS, ids=named)
def test_a_hazard_says_how_it_comes_to_harm_and_what_remains(risk: dict[str, Any]) -> None:
    assert all(risk[name].strip() for name in ("hazard", "sequence", "harm", "remaining"))
    for estimate in (risk, risk["residual"]):
        assert str(estimate["severity"]) in SOURCE["scales"]["severity"]
        assert str(estimate["probability"]) in SOURCE["scales"]["probability"]


@pytest.mark.parametrize("risk", RISKS, ids=named)
def test_every_measure_is_somewhere_and_proven_by_tests_that_exist(risk: dict[str, Any]) -> None:
    assert risk["measures"]
    for measure in risk["measures"]:
        assert measure["where"], measure["what"]
        assert measure["tests"], measure["what"]
        assert [place for place in measure["where"] if not (ROOT / place).is_file()] == []
        assert [test for test in measure["tests"] if not exists(test)] == []


@pytest.mark.parametrize("risk", RISKS, ids=named)
def test_measures_make_no_risk_greater(risk: dict[str, Any]) -> None:
    after = risk["residual"]
    assert after["severity"] <= risk["severity"]
    assert after["probability"] < risk["probability"]


def test_the_page_is_what_the_source_gives() -> None:
    assert (ROOT / "docs/risk.md").read_text() == risk_markdown(SOURCE), "python scripts/risk.py writes it anew"


def test_a_page_with_a_high_risk_says_what_follows() -> None:
    high = [risk for risk in RISKS if level(SOURCE["scales"], risk["residual"]) == "high"]
    assert ("**High risks remain.**" in risk_markdown(SOURCE)) == bool(high)


@pytest.mark.parametrize(
    "test", ["tests/test_risk.py::test_that_is_not_here", "tests/gone.py::test_a", "tests/test_risk.py"]
)
def test_a_test_that_is_not_there_is_noticed(test: str) -> None:
    assert not exists(test)
