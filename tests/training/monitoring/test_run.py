import subprocess
import sys

import orjson
import pytest

from tests.training.monitoring.seen import NOW, Seen, group
from training.monitoring.observed import Observed, Window
from training.monitoring.outcome import Finding, Outcome
from training.monitoring.run import MONITORS, run


def test_a_report_says_when_and_of_what_time_it_is_and_is_kept() -> None:
    seen = Seen(group(20, 10) + group(20, 4, sex="female"))
    report = run("bias", seen, now=NOW, days=7)
    assert seen.kept == [report]
    content = orjson.loads(report.encoded)
    assert content["computed_at"] == "2026-03-02T09:30:00+00:00"
    assert content["window"] == {"begin": "2026-02-23T09:30:00+00:00", "end": content["computed_at"], "days": 7.0}
    assert (content["flag"], report.flag, content["groups"]["sex"]["ratio"]) == (True, True, 0.4)
    assert [(one["key"], one["flag"]) for one in content["findings"]] == [("bias:sex", True), ("bias:age", None)]


@pytest.mark.parametrize("kind", MONITORS)
def test_every_kind_reports_of_an_empty_store_without_a_flag(kind: str) -> None:
    report = run(kind, Seen(), now=NOW)
    assert not report.flag
    assert all(finding.flag is not True and finding.key.startswith(f"{kind}:") for finding in report.findings)
    assert b"NaN" not in report.encoded


def test_another_kind_is_one_function_more() -> None:
    def drift(seen: Observed, window: Window) -> Outcome:
        found = Finding(key="drift", flag=True, severity="warning", title="Drift", text="noise")
        return Outcome(content={"features": len(list(seen.newest(3, window.end)))}, findings=(found,), page=b"<p>")

    seen = Seen(group(5, 0))
    report = run("drift", seen, now=NOW, days=1, monitors={"drift": drift})
    assert (report.content["features"], report.flag, report.page) == (3, True, b"<p>")


def test_no_such_kind_and_no_days_are_refused() -> None:
    with pytest.raises(KeyError):
        run("weather", Seen(), now=NOW)
    with pytest.raises(ValueError, match="no time"):
        run("bias", Seen(), now=NOW, days=0)


def test_it_needs_no_more_than_serving_has() -> None:
    code = "import sys, training.monitoring.run; sys.stdout.write(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "sklearn", "fairlearn", "pandas", "mlflow", "dagster", "evidently", "sqlalchemy"} & set(
        loaded
    ) == set()
