from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from inference.labels import Superclass
from tests.training.monitoring.seen import DAY, NOW, Seen, Shadowed, analysis, detail, overread, shadow
from training.monitoring.observed import Window
from training.monitoring.outcome import Finding, Outcome
from training.monitoring.run import run
from training.monitoring.shadow import monitor

WINDOW = Window.before(NOW, 30)


def looked_at(*shadows: Sequence[Shadowed], missed: int = 0) -> Outcome:
    return monitor(Seen(shadows=[one for some in shadows for one in some], missed=missed), WINDOW)


def finding(outcome: Outcome, what: str) -> Finding:
    (found,) = (one for one in outcome.findings if one.key == f"shadow:{what}")
    return found


def said(n: int, served: float, other: float, *, urgency: tuple[str, str] = ("routine", "routine")) -> list[Shadowed]:
    """So many ECGs to which the one that serves and the one in shadow mode give these probabilities of an infarct."""
    found: list[Shadowed] = []
    for _ in range(n):
        row = analysis(probabilities={"MI": served}, urgency=urgency[0])
        found.append((row, shadow(row, probabilities={"MI": other}, urgency=urgency[1]), None))
    return found


def read(n: int, served: float, other: float, truth: bool) -> list[Shadowed]:
    """The same, over-read, about all superclasses."""
    found: list[Shadowed] = []
    for _ in range(n):
        row = analysis(probabilities={c.value: served for c in Superclass})
        says = shadow(row, probabilities={c.value: other for c in Superclass})
        findings: dict[str, Any] = {c.value: truth for c in Superclass}
        found.append((row, says, overread(row, **findings)))
    return found


def test_where_no_model_ran_the_report_says_so_and_open_alerts_are_resolved() -> None:
    found = looked_at()
    assert (found.content["judgement"], found.content["shadow"]) == ("nothing to compare", None)
    assert [one.flag for one in found.findings] == [False, False, False]
    assert (found.content["analyses"], found.content["overreads"]["n"]) == (0, 0)


def test_agreement_and_kappa_are_of_planted_decisions() -> None:
    found = looked_at(said(20, 0.8, 0.9), said(5, 0.8, 0.1), said(10, 0.1, 0.8), said(15, 0.1, 0.05)).content
    mi = found["classes"]["MI"]
    assert (mi["agreement"]["agreed"], mi["agreement"]["n"], mi["kappa"]) == (35, 50, pytest.approx(0.4))
    assert (mi["decided"]["served"]["decided"], mi["decided"]["shadow"]["decided"]) == (25, 30)
    apart = (20 * 0.1 + 5 * 0.7 + 10 * 0.7 + 15 * 0.05) / 50
    assert mi["probability_apart"]["mean"] == pytest.approx(apart)
    assert (mi["probability_apart"]["p50"], mi["probability_apart"]["max"]) == (pytest.approx(0.1), pytest.approx(0.7))
    assert mi["judgement"] == "judged"
    assert (found["agreement"]["agreed"], found["classes"]["CD"]["kappa"]) == (35, None)


def test_a_model_that_calls_more_ecgs_urgent_for_sure_is_told_as_information() -> None:
    calm, urgent = ("routine", "routine"), ("routine", "immediate")
    found = looked_at(said(170, 0.1, 0.1, urgency=calm), said(30, 0.1, 0.9, urgency=urgent))
    rates = found.content["urgent"]
    assert (rates["served"]["rate"], rates["shadow"]["rate"], rates["difference"]["value"]) == (0.0, 0.15, 0.15)
    assert (rates["shadow_only"], rates["served_only"]) == (30, 0)
    assert rates["p_value"] == pytest.approx(2 * 0.5**30)
    one = finding(found, "urgent")
    assert (one.flag, one.severity) == (True, "info")
    assert one.text.startswith("0.0% as served, 15.0% by the model in shadow mode; apart +15.0% (+")
    fewer = looked_at(said(170, 0.1, 0.1, urgency=calm), said(30, 0.9, 0.1, urgency=("urgent", "none")))
    assert finding(fewer, "urgent").flag


@pytest.mark.parametrize(
    ("n", "more", "flag"),
    [(200, 4, False), (19, 19, None), (20, 2, False), (20, 20, True)],
    ids=["within the limit", "too few", "by chance", "all"],
)
def test_what_chance_explains_or_nobody_would_notice_is_not_told(n: int, more: int, flag: bool | None) -> None:
    shadows = said(n - more, 0.1, 0.1), said(more, 0.1, 0.9, urgency=("routine", "urgent"))
    assert finding(looked_at(*shadows), "urgent").flag is flag


def test_with_few_ecgs_nothing_is_judged_but_all_is_listed() -> None:
    found = looked_at(said(3, 0.8, 0.9)).content
    assert (found["judgement"], found["classes"]["MI"]["judgement"]) == ("too few to judge", "too few to judge")
    assert found["classes"]["MI"]["agreement"]["rate"] == 1.0


def test_over_reads_tell_which_of_the_two_is_ahead() -> None:
    """Of 20 infarcts the one that serves finds 12, the one in shadow mode all; both leave the 20 others alone."""
    shadows = read(12, 0.8, 0.9, True), read(8, 0.1, 0.8, True), read(20, 0.1, 0.1, False)
    found = looked_at(*shadows)
    mi = found.content["classes"]["MI"]["overreads"]
    assert (mi["n"], mi["positives"], mi["judgement"]) == (40, 20, "judged")
    assert (mi["auc"]["served"]["value"], mi["auc"]["shadow"]["value"]) == (pytest.approx(0.8), 1.0)
    assert mi["auc"]["difference"]["value"] == pytest.approx(0.2)
    assert mi["auc"]["difference"]["low"] > 0
    assert (mi["sensitivity"]["served"]["rate"], mi["sensitivity"]["shadow"]["rate"]) == (0.6, 1.0)
    assert (mi["specificity"]["served"]["rate"], mi["specificity"]["shadow"]["rate"]) == (1.0, 1.0)
    assert (mi["right"]["both"], mi["right"]["served_only"], mi["right"]["shadow_only"]) == (32, 0, 8)
    assert mi["right"]["p_value"] == pytest.approx(2 * 0.5**8)
    overall = found.content["overreads"]
    assert (overall["n"], overall["macro_auc"]["difference"]["value"]) == (40, pytest.approx(0.2))
    assert finding(found, "auc").flag is False
    assert finding(found, "auc").text.startswith("+0.200 (+")


def test_one_that_ranks_worse_for_sure_is_told() -> None:
    found = looked_at(read(12, 0.9, 0.8, True), read(8, 0.8, 0.1, True), read(20, 0.1, 0.1, False))
    assert finding(found, "auc").flag


def test_without_enough_over_reads_no_area_is_told_and_the_decisions_are() -> None:
    found = looked_at(read(4, 0.8, 0.9, True), read(20, 0.1, 0.1, False))
    mi = found.content["classes"]["MI"]["overreads"]
    assert (mi["judgement"], mi["auc"], mi["sensitivity"]["shadow"]["rate"]) == ("too few to judge", None, 1.0)
    assert found.content["overreads"]["macro_auc"] is None
    assert finding(found, "auc").flag is None


@pytest.mark.parametrize(("missed", "flag"), [(0, False), (20, False), (200, True)])
def test_the_share_that_was_compared_is_told(missed: int, flag: bool) -> None:
    found = looked_at(said(100, 0.1, 0.1), missed=missed)
    assert (found.content["compared"]["compared"], found.content["compared"]["n"]) == (100, 100 + missed)
    assert finding(found, "compared").flag is flag


def test_the_newest_of_several_models_is_compared_and_the_others_are_named() -> None:
    def older(row: Shadowed, days: int, version: str) -> Shadowed:
        return replace(row[0], analyzed_at=NOW - days * DAY), replace(row[1], model_version=version), None

    first = [older(row, 9, "1.9.0") for row in said(30, 0.1, 0.9)]
    second = [older(row, 2, "2.1.0") for row in said(25, 0.1, 0.1)]
    found = looked_at(first, second).content
    assert (found["shadow"]["name"], found["shadow"]["version"], found["analyses"]) == ("ecg-resnet", "2.1.0", 25)
    assert found["other_shadows"] == [{"name": "ecg-resnet", "version": "1.9.0", "n": 30}]
    assert found["served"] == [{"name": "ecg-resnet", "version": "1.0.0", "n": 25}]
    assert found["compared"]["n"] == 25, "of the time that this model saw"
    assert (found["shadow"]["first"], found["shadow"]["last"]) == (2 * ((NOW - 2 * DAY).isoformat(),))


def test_live_and_silent_ones_are_compared_and_told_apart_by_number() -> None:
    silent = [(replace(row, mode="silent"), one, None) for row, one, _ in said(7, 0.1, 0.1)]
    assert looked_at(said(5, 0.1, 0.1), silent).content["modes"] == {"live": 5, "silent": 7}


def test_the_times_of_both_are_told() -> None:
    def timed(i: int) -> Shadowed:
        row = analysis(detail=detail(classify=i / 1000))
        return row, shadow(row, milliseconds=2.0 * i), None

    found = looked_at([timed(i) for i in range(1, 102)]).content["latency"]
    assert (found["served"]["p50_seconds"], found["shadow"]["p50_seconds"]) == (
        pytest.approx(0.051),
        pytest.approx(0.102),
    )


def test_it_is_a_report_like_the_others() -> None:
    seen = Seen(shadows=said(30, 0.1, 0.9, urgency=("routine", "urgent")))
    report = run("shadow", seen, now=NOW)
    content: dict[str, Any] = orjson.loads(report.encoded)
    assert {"computed_at", "window", "flag", "findings", "limits", "classes", "urgent"} <= set(content)
    assert (report.kind, report.flag) == ("shadow", True)
    assert seen.kept == [report]
