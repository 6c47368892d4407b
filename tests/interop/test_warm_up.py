from collections.abc import Sequence
from datetime import timedelta

import pytest

from actions.analyze import Analyze
from actions.policy import load_policy
from actions.ports import Classify
from inference.errors import ModelUnavailable
from inference.prediction import Prediction
from inference.prepare import ModelInput
from interop.warm_up import warm_up
from tests.fakes import NOW, FakeClassify, FixedClock, SequentialIds, make_prediction


def _analyzer(classify: Classify) -> Analyze:
    return Analyze(
        classify=classify,
        policy=load_policy(),
        clock=FixedClock(NOW),
        ids=SequentialIds(),
        acute_window=timedelta(hours=24),
    )


def test_the_model_runs_once_before_the_service_is_ready() -> None:
    classify = FakeClassify(make_prediction())
    warm_up(_analyzer(classify), NOW)
    assert len(classify.calls) == 1


def test_a_model_that_fails_stops_the_start() -> None:
    def broken(windows: Sequence[ModelInput]) -> Prediction:
        raise ModelUnavailable("no session")

    analyzer = _analyzer(broken)
    with pytest.raises(ModelUnavailable):
        warm_up(analyzer, NOW)
