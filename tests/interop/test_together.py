from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from actions.analysis import Analysis, Door, RequestContext
from actions.analyze import Analyze
from actions.computed import Computed
from actions.policy import load_policy
from inference.errors import Malformed, ModelUnavailable
from inference.measurements import Measurements
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.recording import Recording
from interop.together import Job, Together
from tests.fakes import NOW, FakeCache, FixedClock, SequentialIds, make_prediction
from tests.interop.service import flat_ecg, real_ecg

ECG = real_ecg()
CONTEXT = RequestContext(door=Door.CLI, received_at=NOW, correlation_id="c")


@dataclass
class Model:
    """Counts the recordings of each run. broken: what a run of that many raises."""

    runs: list[int] = field(default_factory=list)
    broken: dict[int, Exception] = field(default_factory=dict)

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        return self.batch([windows])[0]

    def batch(self, recordings: Sequence[Sequence[ModelInput]]) -> Sequence[Prediction]:
        self.runs.append(len(recordings))
        if len(recordings) in self.broken:
            raise self.broken[len(recordings)]
        return [make_prediction(MI=0.1 * (number + 1)) for number in range(len(recordings))]


def together(model: Model) -> Together:
    analyze = Analyze(classify=model, policy=load_policy(None), clock=FixedClock(), ids=SequentialIds())
    return Together(analyze, model.batch)


def job(read: Any = lambda: ECG, finish: Any = lambda recording, analysis: recording.duration) -> Job:
    return Job(read, CONTEXT, finish)


def probability(outcome: tuple[Analysis, object]) -> float:
    prediction = outcome[0].prediction
    assert prediction is not None
    return max(prediction.probabilities.values())


def test_recordings_that_wait_are_classified_in_one_run_and_each_gets_its_own_result() -> None:
    model = Model()
    outcomes = together(model)([job(), job(), job()])
    assert model.runs == [3]
    assert [probability(outcome) for outcome in outcomes] == pytest.approx(
        [max(make_prediction(MI=0.1 * n).probabilities.values()) for n in (1, 2, 3)]
    )
    assert [result for _, result in outcomes] == [ECG.duration] * 3


def test_what_cannot_be_read_fails_alone() -> None:
    def unreadable() -> Recording:
        raise Malformed("no ECG")

    model = Model()
    outcomes = together(model)([job(), job(unreadable), job()])
    assert isinstance(outcomes[1], Malformed)
    assert [outcome[1] for outcome in (outcomes[0], outcomes[2])] == [ECG.duration] * 2
    assert model.runs == [2]


def test_what_cannot_be_interpreted_does_not_reach_the_model() -> None:
    model = Model()
    (analysis, _), _ = together(model)([job(flat_ecg), job()])
    assert not analysis.interpretable
    assert model.runs == [1]


def test_what_was_calculated_before_does_not_reach_the_model() -> None:
    model = Model()
    known = Computed("d", b"k", np.zeros(1, np.float32), Measurements(), make_prediction(MI=0.7), is_new=False)
    whole = together(model)
    cached = replace(whole, analyze=replace(whole.analyze, cache=FakeCache(known)))
    assert [round(probability(outcome), 2) for outcome in cached([job(), job()])] == [0.7, 0.7]
    assert model.runs == []


def test_a_run_that_fails_is_repeated_one_by_one() -> None:
    model = Model(broken={2: ModelUnavailable("one of them is to blame")})
    outcomes = together(model)([job(), job()])
    assert model.runs == [2, 1, 1]
    assert all(probability(outcome) for outcome in outcomes)


def test_a_model_that_is_gone_is_each_ones_failure() -> None:
    gone = ModelUnavailable("inference failed")
    outcomes = together(Model(broken={1: gone, 2: gone}))([job(), job()])
    assert outcomes == [gone, gone]


def test_a_door_hears_of_its_recording_before_the_model_runs_and_not_of_one_that_fails() -> None:
    def unreadable() -> Recording:
        raise Malformed("no ECG")

    model, told = Model(), list[tuple[Recording, int]]()

    def meanwhile(recording: Recording) -> None:
        told.append((recording, len(model.runs)))

    jobs = [replace(each, meanwhile=meanwhile) for each in (job(), job(unreadable), job(flat_ecg))]
    together(model)(jobs)
    assert [(recording is ECG, runs) for recording, runs in told] == [(True, 0), (False, 0)]


def test_what_a_door_does_afterwards_fails_alone() -> None:
    def refuse(_: Recording, __: Analysis) -> None:
        raise ValueError("a defect")

    failed, fine = together(Model())([job(finish=refuse), job()])
    assert isinstance(failed, ValueError)
    assert fine[1] == ECG.duration


def test_without_a_model_for_several_they_are_classified_one_by_one() -> None:
    model = Model()
    analyze = together(model).analyze
    assert len(Together(analyze)([job(), job()])) == 2
    assert model.runs == [1, 1]
