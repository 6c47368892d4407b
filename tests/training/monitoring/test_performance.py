from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.records import AnalysisRow, OverreadRow
from inference.labels import Superclass
from tests.training.monitoring.seen import DAY, NOW, Seen, analysis, detail, group, overread, pair, unreadable
from training.monitoring.observed import Window
from training.monitoring.outcome import Finding, Outcome
from training.monitoring.performance import monitor

WINDOW = Window.before(NOW, 30)

Pairs = list[tuple[AnalysisRow, OverreadRow]]


def looked_at(seen: Seen, window: Window = WINDOW) -> Outcome:
    return monitor(seen, window)


def finding(outcome: Outcome, what: str) -> Finding:
    (found,) = (one for one in outcome.findings if one.key == f"performance:{what}")
    return found


def all_classes(right: int, wrong: int, at: datetime = NOW - DAY, **given: Any) -> Pairs:
    """As many with all classes as with none; of each some have the probabilities of the other."""
    found = []
    for truth in (True, False):
        for i in range(right + wrong):
            probability = 0.9 if truth is (i < right) else 0.1
            row = analysis(probabilities={c.value: probability for c in Superclass}, **given)
            found.append((row, overread(row, i < right, at, **{c.value: truth for c in Superclass})))
    return found


def test_a_class_is_told_with_numbers_intervals_and_calibration() -> None:
    """10 infarcts, 8 found; 10 others, 1 taken for one. The 8 win against 9 and tie with 1, the 2 tie with 9."""
    pairs = [pair(True, 0.9 if i < 8 else 0.1) for i in range(10)]
    pairs += [pair(False, 0.9 if i < 1 else 0.1) for i in range(10)]
    found = looked_at(Seen(pairs=pairs)).content["classes"]["MI"]
    assert (found["n"], found["positives"], found["judgement"]) == (20, 10, "judged")
    assert found["auc"]["value"] == pytest.approx((8 * 9 + 8 * 1 / 2 + 2 * 9 / 2) / 100)
    assert found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]
    assert (found["sensitivity"]["count"], found["sensitivity"]["n"]) == (8, 10)
    assert (found["specificity"]["count"], found["specificity"]["n"]) == (9, 10)
    calibration = found["calibration"]
    assert calibration["brier"]["value"] == pytest.approx((17 * 0.01 + 3 * 0.81) / 20)
    assert sum(one["n"] for one in calibration["bins"]) == 20
    assert sum(one["positives"] for one in calibration["bins"]) == 10


def test_a_class_of_which_little_was_said_is_not_judged_but_listed() -> None:
    row = analysis(probabilities={"MI": 0.9})
    found = looked_at(Seen(pairs=[(row, overread(row, at=NOW - DAY, MI=True, CD=None))])).content
    mi = found["classes"]["MI"]
    assert (mi["n"], mi["auc"], mi["calibration"], mi["judgement"]) == (1, None, None, "too few to judge")
    assert mi["sensitivity"]["rate"] == 1.0
    assert (found["classes"]["CD"]["n"], found["classes"]["CD"]["sensitivity"]["rate"]) == (0, None)


def test_agreement_is_of_those_who_told_it() -> None:
    rows = [analysis() for _ in range(5)]
    said = zip(rows, (True, True, False, None, True), strict=True)
    found = looked_at(Seen(pairs=[(row, overread(row, agreed, NOW - DAY)) for row, agreed in said])).content
    assert (found["agreement"]["agreed"], found["agreement"]["n"], found["agreement"]["rate"]) == (3, 4, 0.75)


def test_a_mean_auc_that_is_too_low_for_sure_is_flagged() -> None:
    bad, good, few = (looked_at(Seen(pairs=pairs)) for pairs in (all_classes(12, 8), all_classes(20, 0), []))
    assert [finding(one, "auc").flag for one in (bad, good, few)] == [True, False, None]
    assert finding(bad, "auc").text.startswith("0.600 (")
    assert (bad.flag, good.flag, few.flag) == (True, False, False)


def test_each_model_of_the_window_is_told_by_itself() -> None:
    pairs = all_classes(20, 0, model_version="1.0.0") + all_classes(12, 8, model_version="1.1.0")
    found = looked_at(Seen(pairs=pairs)).content["models"]
    assert [(one["version"], one["overreads"], one["macro_auc"]["value"]) for one in found] == [
        ("1.0.0", 40, 1.0), ("1.1.0", 40, pytest.approx(0.6)),
    ]  # fmt: skip


def test_latency_is_of_the_sum_of_the_stages() -> None:
    rows = [analysis(detail=detail(classify=i / 1000, map=0.001)) for i in range(1, 102)]
    found = looked_at(Seen([*rows, unreadable()])).content["latency"]
    assert (found["n"], found["p50_seconds"], found["p99_seconds"]) == (101, pytest.approx(0.052), pytest.approx(0.101))
    assert found["stages"]["classify"] == {
        "n": 101,
        "p50_seconds": pytest.approx(0.051),
        "p99_seconds": pytest.approx(0.1),
    }
    assert set(found["stages"]) == {"classify", "map"}


@pytest.mark.parametrize(("number", "seconds", "flag"), [(100, 0.2, True), (100, 0.1, False), (99, 0.2, None)])
def test_slow_analyses_are_flagged_when_there_are_enough(number: int, seconds: float, flag: bool | None) -> None:
    rows = [analysis(detail=detail(classify=seconds)) for _ in range(number)]
    assert finding(looked_at(Seen(rows)), "latency").flag is flag


def test_without_timings_there_is_no_latency() -> None:
    found = looked_at(Seen([analysis(detail=b"{}")])).content["latency"]
    assert found == {"n": 0, "p50_seconds": None, "p99_seconds": None, "stages": {}}


def test_errors_are_shares_of_what_a_door_received_and_of_its_analyses() -> None:
    items = {
        ("mllp", "analysed"): 80, ("mllp", "failed"): 15, ("mllp", "nothing-to-analyse"): 5, ("fhir", "received"): 2,
        ("fhir", "claimed"): 1,
    }  # fmt: skip
    seen = Seen([*group(30, 0), *(unreadable() for _ in range(10)), analysis(door="predict")], items=items)
    outcome = looked_at(seen)
    found = outcome.content["errors"]
    assert list(found) == ["fhir", "mllp", "predict"]
    assert (found["mllp"]["received"], found["mllp"]["error"]["rate"]) == (100, 0.15)
    assert (found["mllp"]["not_interpretable"]["rate"], found["mllp"]["not_interpretable"]["n"]) == (0.25, 40)
    assert (found["fhir"]["waiting"], found["fhir"]["not_interpretable"]["rate"]) == (3, None)
    assert (found["predict"]["received"], found["predict"]["error"]["rate"]) == (0, None)
    assert finding(outcome, "errors").flag is True, "15 of 100 are more than 5 % for sure"
    assert finding(outcome, "signals").flag is False, "10 of 40 may be 20 %"


def test_a_quiet_door_is_not_judged() -> None:
    outcome = looked_at(Seen(items={("mllp", "failed"): 19}))
    assert [finding(outcome, what).flag for what in ("errors", "signals")] == [None, None]


def test_counts_by_door_sender_and_model() -> None:
    rows = [
        *group(2, 0),
        analysis(door="fhir", sender=None, model_version="2.0.0"),
        unreadable(sender="X"),
        analysis(mode="silent"),
    ]
    found = looked_at(Seen(rows)).content
    assert found["counts"] == {
        "door": {"mllp": 3, "fhir": 1},
        "sender": {"MUSE|WARD": 2, "": 1, "X": 1},
        "model": [
            {"name": "ecg-resnet", "version": "1.0.0", "n": 2},
            {"name": "ecg-resnet", "version": "2.0.0", "n": 1},
        ],
    }
    assert (found["analyses"], found["left_out"]) == (4, {"silent": 1})


def test_a_trend_tells_each_week_with_its_numbers() -> None:
    last_week, this_week = NOW - 3 * DAY, NOW - DAY / 4
    rows = group(4, 1, analyzed_at=last_week) + group(2, 2, analyzed_at=this_week)
    found = looked_at(Seen(rows, all_classes(12, 8, at=this_week))).content["trend"]
    first, second = found["rows"]
    assert (found["step"], first["begin"], second["begin"]) == ("week", "2026-02-23", "2026-03-02")
    assert (first["analyses"], first["urgent"]["rate"], first["overreads"], first["macro_auc"]) == (4, 0.25, 0, None)
    assert (second["analyses"], second["overreads"], second["agreement"]["rate"]) == (2, 40, 0.6)
    assert second["macro_auc"]["value"] == pytest.approx(0.6)


def test_a_long_window_is_told_by_months() -> None:
    rows = group(1, 0, analyzed_at=NOW - 80 * DAY) + group(1, 0)
    found = looked_at(Seen(rows), Window.before(NOW, 100)).content["trend"]
    assert (found["step"], [row["begin"] for row in found["rows"]]) == ("month", ["2025-12-01", "2026-03-01"])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from(["mllp", "fhir"])), max_size=60))
def test_every_live_analysis_is_counted_once_in_each_breakdown(rows: list[tuple[bool, bool, str]]) -> None:
    made = [
        (unreadable if blank else analysis)(mode="silent" if silent else "live", door=door)
        for silent, blank, door in rows
    ]
    found = looked_at(Seen(made)).content
    live = [row for row in made if row.mode == "live"]
    assert found["analyses"] == len(live)
    assert sum(found["counts"]["door"].values()) == sum(found["counts"]["sender"].values()) == len(live)
    assert sum(one["n"] for one in found["counts"]["model"]) == sum(row.interpretable for row in live)
    assert sum(row["analyses"] for row in found["trend"]["rows"]) == len(live)
    assert sum(one["not_interpretable"]["n"] for one in found["errors"].values()) == len(live)
