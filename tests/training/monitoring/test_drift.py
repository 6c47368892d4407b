"""Drift reports on made-up traffic."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from audit.records import AnalysisRow, OverreadRow
from tests.training.monitoring.ecgs import detail_of, ecgs, reference
from tests.training.monitoring.seen import NOW, Seen, pair
from training.monitoring.columns import COLUMNS, Family
from training.monitoring.drift import DriftMonitor
from training.monitoring.run import Report, run
from training.reference import Reference

PAGE = b"<html>"


@cache
def told() -> Reference:
    return reference()


def report(
    rows: list[AnalysisRow],
    pairs: list[tuple[AnalysisRow, OverreadRow]] | None = None,
    against: Reference | None = None,
) -> Report:
    store = Seen(rows=rows, pairs=pairs or [])
    found = run("drift", store, now=NOW, monitors={"drift": DriftMonitor(against or told(), lambda *_: PAGE)})
    assert store.kept == [found]
    return found


def flags(found: Report) -> Mapping[str, bool | None]:
    return {one.key.removeprefix("drift:"): one.flag for one in found.findings}


def features(found: Report) -> Mapping[str, Any]:
    return {one["name"]: one for one in found.content["features"]}


def test_unchanged_traffic_is_no_drift() -> None:
    found = report(ecgs(600, seed=7))
    assert flags(found) == {family.value: None if family is Family.CONCEPT else False for family in Family}
    assert (found.flag, found.content["analyses"]) == (False, 300)
    assert found.content["compared_with"]["earlier_traffic"] == 300
    for one in found.content["features"]:
        assert {"name", "test", "statistic", "p_value", "flag", "n"} <= set(one)
    assert len(features(found)) == len(COLUMNS) + 10
    assert found.page == PAGE


@pytest.mark.parametrize(
    ("family", "column", "given"),
    [
        ("signal", "noise", {"shift": 2.0, "only": "noise"}),
        ("quality", "quality noise", {"detail": detail_of("noise")}),
        ("demographics", "age", {"age": 85.0}),
        ("demographics", "sex", {"sex": "female"}),
        ("sources", "sender", {"sender": "NEW|WARD"}),
        ("output", "urgent", {"urgency": "immediate"}),
        ("output", "probability MI", {"probabilities": dict.fromkeys(("NORM", "MI", "STTC", "CD", "HYP"), 0.2)}),
    ],
)
def test_a_shift_is_found_where_it_is_and_nowhere_else(family: str, column: str, given: dict[str, Any]) -> None:
    found = report([*ecgs(450, seed=7), *ecgs(150, seed=8, **given)])
    assert {name for name, flag in flags(found).items() if flag} == {family}
    assert features(found)[column]["flag"]
    (finding,) = [one for one in found.findings if one.flag]
    assert finding.text.startswith(f"{sum(one['flag'] for one in found.content['features'])} of ")


def test_clinicians_who_disagree_are_concept_drift() -> None:
    found = report(ecgs(600, seed=7), [pair(True, 0.1) for _ in range(60)])
    assert {name for name, flag in flags(found).items() if flag} == {"concept"}
    assert "agreement MI no 100% (was yes 90%, no 10%" in next(one.text for one in found.findings if one.flag)


def test_few_ecgs_are_no_answer() -> None:
    found = report(ecgs(49, seed=7, shift=9.0))
    assert set(flags(found).values()) == {None}
    assert found.content["judgement"] == "too few to judge"
    assert found.findings[0].text == "Too few to judge: 49 ECGs on one side, 50 are needed."


def test_without_earlier_traffic_sources_cannot_be_judged() -> None:
    found = report(ecgs(300, seed=7, sender="NEW|WARD"))
    assert flags(found)["sources"] is None


def test_results_of_another_model_are_not_compared() -> None:
    rows = ecgs(400, seed=7, model_version="2.0.0", urgency="immediate")
    found = report(rows)
    assert flags(found)["output"] is None
    assert flags(found)["signal"] is False


def test_a_reference_without_agreement_leaves_calibration() -> None:
    found = report(ecgs(300, seed=7), [pair(True, 0.1) for _ in range(60)], replace(told(), agreement={}))
    assert flags(found)["concept"] is True
