"""What is read out of reports for the plots: of real ones everything, of strange ones nothing and no error."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.monitoring_records import ReportKind
from interop.monitoring.measures import MEASURES, MOST_LINES, Seen, trends
from interop.monitoring.trends import Figure, Trend
from tests.training.monitoring.seen import DAY, NOW, analysis, detail, group, pair
from tests.training.monitoring.seen import Seen as Store
from training.monitoring.run import run


def report(kind: str, store: Store) -> Seen:
    made = run(kind, store, now=NOW)
    return Seen(at=NOW, content=orjson.loads(made.encoded))


def by_id(kind: ReportKind, *reports: Seen) -> dict[str, Trend]:
    return {trend.id: trend for trend in trends(kind, reports)}


def newest(trend: Trend) -> dict[str, Figure | None]:
    return {line.name: line.points[-1].figure for line in trend.lines}


def test_of_a_bias_report_rates_and_ratios_are_taken_with_their_intervals() -> None:
    rows = [*group(40, 10, sex="female", age=65.0), *group(40, 20, sex="male", age=65.0), *group(5, 5, sex="other")]
    found = by_id(ReportKind.BIAS, report("bias", Store(rows=rows)))
    rates = newest(found["urgent-by-sex"])
    female = rates["female"]
    assert female is not None
    assert female.value == 0.25
    assert female.low is not None
    assert female.high is not None
    assert female.low < 0.25 < female.high
    assert rates["other"] is None  # too few
    ratio = newest(found["parity"])["by sex"]
    assert ratio is not None
    assert ratio.value == 0.5
    assert newest(found["parity"])["by age"] is None
    limit = found["parity"].limit
    assert limit is not None
    assert (limit.value, limit.words) == (0.8, "needed 0.8")


def test_of_a_performance_report_auc_calibration_time_and_errors_are_taken() -> None:
    pairs = [pair(bool(i % 2), 0.9 if i % 2 else 0.1) for i in range(60)]
    rows = [analysis(detail=detail(classify=0.004, quality=0.001)) for _ in range(60)]
    store = Store(rows=rows, pairs=pairs, items={("mllp", "failed"): 6, ("mllp", "analysed"): 54})
    found = by_id(ReportKind.PERFORMANCE, report("performance", store))
    auc = newest(found["auc-mi"])["MI"]
    assert auc is not None
    assert auc.value == 1.0
    assert newest(found["auc-cd"]) == {"CD": None}
    assert found["macro-auc"].is_empty
    calibration = newest(found["calibration"])["MI"]
    assert calibration is not None
    assert calibration.value == pytest.approx(0.1)
    assert newest(found["latency"]) == {"p50": Figure(5.0), "p99": Figure(5.0)}
    errors = newest(found["errors"])["mllp"]
    assert errors is not None
    assert errors.value == pytest.approx(0.1)
    assert newest(found["a-day"]) == {"ECGs": Figure(2.0)}
    limits = {name: found[name].limit for name in ("macro-auc", "latency", "errors", "refusals")}
    words = {name: limit.words for name, limit in limits.items() if limit}
    assert words == {
        "macro-auc": "needed 0.9", "latency": "allowed 100 ms", "errors": "allowed 5%", "refusals": "allowed 20%"
    }  # fmt: skip


def test_of_a_drift_report_the_share_the_smallest_chance_and_the_largest_difference_are_taken() -> None:
    features = [
        {
            "name": f"f{i}",
            "group": group,
            "p_value": 0.5**i,
            "p_adjusted": 0.6**i,
            "effect": i / 10,
            "least_effect": 0.2,
        }
        | {"flag": i > 2, "n": 9}
        for i, group in enumerate(("signal", "signal", "output", "output"))
    ]
    untold = {"name": "too few", "flag": False, "judgement": "too few to judge", "p_adjusted": None, "effect": None}
    found = by_id(ReportKind.DRIFT, Seen(at=NOW, content={"features": [*features, untold], "alpha": 0.01}))
    assert newest(found["drifting"]) == {"drifting": Figure(0.25)}
    assert newest(found["smallest"]) == {"smallest p": Figure(0.6**3)}
    assert [line.name for line in found["largest"].lines] == ["signal", "output"]
    times = [point.figure.value for line in found["largest"].lines for point in line.points if point.figure]
    assert times == pytest.approx([0.5, 1.5])
    limits = [found[name].limit for name in ("smallest", "largest")]
    assert [limit.words for limit in limits if limit] == ["needed 0.01", "allowed 1"]


def test_of_a_shadow_report_both_models_are_taken() -> None:
    urgent = {"served": {"rate": 0.2, "low": 0.1, "high": 0.3}, "shadow": {"rate": 0.25, "low": 0.15, "high": 0.35}}
    content = {"urgent": urgent, "agreement": {"rate": 0.9}, "compared": {"rate": 1.0}, "limits": {"compared": 0.8}}
    found = by_id(ReportKind.SHADOW, Seen(at=NOW, content=content))
    assert newest(found["shadow-urgent"]) == {"served": Figure(0.2, 0.1, 0.3), "shadow": Figure(0.25, 0.15, 0.35)}
    assert newest(found["shadow-alike"]) == {"agreement": Figure(0.9), "compared": Figure(1.0)}
    limit = found["shadow-alike"].limit
    assert limit is not None
    assert limit.words == "needed 80%"
    assert found["shadow-auc"].is_empty


def test_a_line_has_a_point_for_each_report_and_a_gap_where_one_does_not_tell() -> None:
    def content(**doors: float) -> dict[str, Any]:
        return {"errors": {door: {"error": {"rate": rate}} for door, rate in doors.items()}}

    reports = [content(mllp=0.1), content(fhir=0.2), content(fhir=0.3, mllp=0.4)]
    seen = [Seen(at=NOW + i * DAY, content=one) for i, one in enumerate(reports)]
    lines = {line.name: line.points for line in by_id(ReportKind.PERFORMANCE, *seen)["errors"].lines}
    assert [point.figure for point in lines["mllp"]] == [Figure(0.1), None, Figure(0.4)]
    assert [point.figure for point in lines["fhir"]] == [None, Figure(0.2), Figure(0.3)]
    assert [point.at - NOW for point in lines["mllp"]] == [timedelta(), DAY, 2 * DAY]


def test_of_very_many_lines_a_few_are_shown() -> None:
    content = {"errors": {f"door {i}": {"error": {"rate": 0.1}} for i in range(20)}}
    assert len(by_id(ReportKind.PERFORMANCE, Seen(at=NOW, content=content))["errors"].lines) == MOST_LINES


KEYS = st.sampled_from(
    ["groups", "sex", "female", "rate", "low", "high", "judgement", "ratio", "interval", "classes", "MI", "auc",
     "value", "errors", "mllp", "error", "features", "p_value", "flag", "limits", "latency", "p50_seconds"]
)  # fmt: skip
STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["judged", "NaN", "<script>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)


@pytest.mark.parametrize("kind", list(MEASURES))
@given(contents=st.lists(st.dictionaries(KEYS, STRANGE, max_size=8), max_size=3))
def test_a_content_of_any_shape_is_no_error(kind: ReportKind, contents: list[dict[str, Any]]) -> None:
    for trend in trends(kind, [Seen(at=NOW, content=content) for content in contents]):
        assert all(len(line.points) == len(contents) for line in trend.lines)


def test_no_two_plots_share_an_id() -> None:
    ids = [measure.id for measures in MEASURES.values() for measure in measures]
    assert len(set(ids)) == len(ids)
