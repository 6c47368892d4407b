from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from actions.analysis import Analysis, Urgency
from actions.second_opinion import second_opinion
from inference.prediction import Prediction
from inference.recording import Recording
from tests.actions.test_analyze import POLICY, analyze, read_example
from tests.fakes import CANDIDATE, NOW, make_prediction

WINDOW = timedelta(hours=24)


@pytest.fixture(scope="module")
def infarct(examples: Path) -> Recording:
    return read_example(examples / "00184_hr")


def opinion(analysis: Analysis, prediction: Prediction, window: timedelta = WINDOW) -> Urgency:
    return second_opinion(POLICY, analysis, prediction, window)


@pytest.mark.parametrize("given", [{"MI": 0.83}, {"MI": 0.4}, {"NORM": 0.95}, {"STTC": 0.9, "CD": 0.6}, {}])
@pytest.mark.parametrize("age", [74.0, 17.0, None])
@pytest.mark.parametrize("hours", [0, 23.9, 24.1, -1, None])
def test_of_the_same_prediction_it_is_the_urgency_of_the_analysis(
    infarct: Recording, given: dict[str, float], age: float | None, hours: float | None
) -> None:
    at = None if hours is None else NOW - timedelta(hours=hours)
    analysis = analyze(replace(infarct, age=age, recorded_at=at), make_prediction(**given))
    assert analysis.prediction is not None
    assert opinion(analysis, analysis.prediction) is analysis.urgency


def test_another_prediction_gets_what_the_rules_would_have_given_it(infarct: Recording) -> None:
    normal = analyze(infarct, make_prediction(NORM=0.95))
    assert normal.urgency not in (Urgency.IMMEDIATE, Urgency.URGENT)
    assert opinion(normal, make_prediction(CANDIDATE, MI=0.83)) is Urgency.IMMEDIATE
    old = analyze(replace(infarct, recorded_at=NOW - timedelta(days=2)), make_prediction(NORM=0.95))
    assert opinion(old, make_prediction(CANDIDATE, MI=0.83)) is Urgency.ROUTINE


def test_what_was_unlike_any_date_then_counts_as_undated(infarct: Recording) -> None:
    ahead = analyze(replace(infarct, recorded_at=NOW + timedelta(hours=1)), make_prediction(MI=0.83))
    assert opinion(ahead, make_prediction(MI=0.83)) is ahead.urgency is Urgency.ROUTINE
