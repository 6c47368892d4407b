import re
import sys

import pytest

from tests.training.monitoring.ecgs import ecgs, reference
from training.monitoring.columns import Family, Sample, sample_of
from training.monitoring.drift import judge_sides, sides_of
from training.monitoring.drift_page import Sides, _snapshot, drift_page
from training.monitoring.shift_tests import Judged
from training.monitoring.truth import gather

pytestmark = pytest.mark.slow


def judged(current: Sample, earlier: Sample) -> tuple[tuple[Judged, ...], Sides]:
    told = reference()
    sides = sides_of(current, current, earlier, told)
    return judge_sides(sides, gather(()), told), sides


def test_evidently_flags_what_the_report_flags_with_the_same_sizes() -> None:
    shifted = sample_of([*ecgs(150, seed=3), *ecgs(150, seed=4, shift=2.0, only="noise", sender="NEW|WARD")])
    tests, sides = judged(shifted, sample_of(ecgs(300, seed=5)))
    shown = [one for one in tests if one.flag is not None and one.tested.family is not Family.CONCEPT]
    metrics = _snapshot(shown, sides).dict()["metrics"]
    by_column = {one["config"]["column"]: one for one in metrics if "column" in one["config"]}
    assert set(by_column) == {one.tested.name for one in shown}
    for one in shown:
        metric = by_column[one.tested.name]
        assert metric["value"] == pytest.approx(one.tested.effect)
        assert (metric["value"] >= metric["config"]["threshold"]) == one.flag
    assert {one.tested.name for one in shown if one.flag} == {"noise", "sender"}


def test_the_page_loads_nothing_tells_nobody_and_names_of_senders_are_inert() -> None:
    evil = '</script><script>alert(1)</script>|"X\\'
    page = drift_page(*judged(sample_of(ecgs(100, seed=3, sender=evil)), sample_of(ecgs(100, seed=5, sender=evil))))
    assert page is not None
    assert b"alert(1)" in page
    assert b"<script>alert" not in page
    assert not re.findall(rb'(?:src|href)="https?://(?!plotly\.com)', page)
    assert "evidently.telemetry" not in sys.modules


def test_nothing_judged_is_no_page() -> None:
    assert drift_page(*judged(sample_of(ecgs(10, seed=3)), sample_of([]))) is None
