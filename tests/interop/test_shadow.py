"""The model in shadow mode over real threads and a real store: it comes last, and is never in the way."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

import numpy as np
import pytest

from actions.analysis import Analysis, Door, Mode, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from audit.records import UnitOfWork
from audit.shadow_records import ShadowRow
from inference.classifier import Classifier
from inference.errors import ModelUnavailable, StorageUnavailable
from inference.labels import Superclass
from inference.prediction import ModelInfo, Prediction
from inference.prepare import ModelInput
from inference.recording import Recording
from interop.lanes import Lane
from interop.metrics import Metrics
from interop.shadow import Shadow, decide_alike
from tests.fakes import CANDIDATE, CHAMPION, NOW, THRESHOLDS, FakeCache, FakeClassify, FixedClock, SequentialIds
from tests.fakes import make_prediction as predicted
from tests.interop.service import matrix, real_ecg, running

CONTEXT = RequestContext(door=Door.PREDICT, received_at=NOW, correlation_id="c-1")


@dataclass
class Candidate:
    """A model that gives MI 0.9; it may be told to fail or to take its time. threads: in which it was called."""

    model: ModelInfo = CANDIDATE
    thresholds: dict[Superclass, float] = field(default_factory=lambda: dict(THRESHOLDS))
    failure: Exception | None = None
    proceed: threading.Event = field(default_factory=threading.Event)
    calls: list[tuple[ModelInput, ...]] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.proceed.set()

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        self.calls.append(tuple(windows))
        self.threads.append(threading.current_thread().name)
        self.proceed.wait(5)
        if self.failure is not None:
            raise self.failure
        return replace(predicted(self.model, MI=0.9), thresholds=self.thresholds)


@dataclass
class Kept:
    """What was written, in batches. failure: of the store. known: whether the analyses are stored."""

    batches: list[list[ShadowRow]] = field(default_factory=list)
    failure: Exception | None = None
    known: bool = True

    async def write(self, job: Callable[[UnitOfWork], list[bool]]) -> list[bool]:
        if self.failure is not None:
            raise self.failure
        self.batches.append([])
        return job(cast(UnitOfWork, self))

    @property
    def shadows(self) -> "Kept":
        return self

    def add(self, row: ShadowRow) -> bool:
        self.batches[-1].append(row)
        return self.known


@dataclass
class Course:
    """Everything of one scenario."""

    shadow: Shadow
    candidate: Candidate
    kept: Kept
    lane: Lane
    metrics: Metrics

    def outcomes(self) -> dict[str, float]:
        """How many there are of each outcome that there is."""
        samples = [s for family in self.metrics.registry.collect() for s in family.samples]
        found = {s.labels["outcome"]: s.value for s in samples if s.name == "ecg_shadow_analyses_total"}
        return {outcome: value for outcome, value in found.items() if value}


def course(
    scenario: Callable[[Course], Awaitable[None]], candidate: Candidate | None = None, limit: int = 64, **kept: Any
) -> Course:
    """Run a scenario to its end, and what waits then."""

    async def run() -> Course:
        lane, metrics, given = Lane(64), Metrics(), candidate or Candidate()
        shadow = Shadow(cast(Classifier, given), analyzer=analyzer(), line=lane, metrics=metrics, limit=limit)
        found = Course(shadow, given, Kept(**kept), lane, metrics)
        async with shadow.running(found.kept.write):
            await scenario(found)
        await asyncio.to_thread(lane.close)
        return found

    return asyncio.run(run())


def analyzer(prediction: Prediction | None = None, cache: FakeCache | None = None) -> Analyze:
    classify = FakeClassify(prediction or predicted(NORM=0.95))
    return Analyze(classify=classify, policy=load_policy(None), clock=FixedClock(), ids=SequentialIds(), cache=cache)


ECG = real_ecg()
ANALYSIS = analyzer()(ECG, CONTEXT)


def numbered(number: int) -> Analysis:
    return replace(ANALYSIS, id=UUID(int=number))


def test_an_analysis_is_classified_again_in_a_thread_of_its_own_and_kept_with_what_the_rules_would_have_said() -> None:
    async def scenario(it: Course) -> None:
        it.shadow.offer(ANALYSIS, ECG)

    found = course(scenario)
    ((row,),) = found.kept.batches
    assert (row.analysis_id, row.model_name, row.model_version) == (str(ANALYSIS.id), "fake-resnet", "1.3.0")
    assert (row.model_sha256, row.recorded_at) == (CANDIDATE.sha256, NOW)
    assert (row.probabilities["MI"], row.decided, row.urgency) == (0.9, ["MI"], "immediate")
    assert ANALYSIS.urgency.value == "none"
    assert row.milliseconds >= 0
    assert found.outcomes() == {"compared": 1}
    assert found.candidate.threads[0].startswith("shadow")


def test_it_sees_what_the_champion_saw_and_what_the_cache_knew_is_prepared_again_alike() -> None:
    computed = ANALYSIS.computed
    assert computed is None
    first = analyzer(cache=FakeCache())(ECG, CONTEXT)
    known = analyzer(cache=FakeCache(known=first.computed))(ECG, CONTEXT)
    assert (len(first.windows), known.windows) == (1, ())

    async def scenario(it: Course) -> None:
        it.shadow.offer(first, ECG)
        it.shadow.offer(known, ECG)

    (one,), (other,) = course(scenario).candidate.calls
    assert one is first.windows[0]
    assert np.array_equal(one.signal, other.signal)
    assert np.array_equal(one.features, other.features, equal_nan=True)


def test_it_waits_until_nothing_is_in_the_lane() -> None:
    async def scenario(it: Course) -> None:
        proceed = threading.Event()
        busy = asyncio.ensure_future(it.lane.run(lambda: proceed.wait(5)))
        await asyncio.sleep(0)
        it.shadow.offer(ANALYSIS, ECG)
        await asyncio.sleep(0.1)
        assert it.candidate.calls == []
        proceed.set()
        await busy
        await asyncio.sleep(0.005)
        assert it.candidate.calls == [], "between two calls the lane is empty for a moment"

    assert len(course(scenario).candidate.calls) == 1


def test_what_finds_no_room_is_dropped_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(it: Course) -> None:
        for number in range(10):
            it.shadow.offer(numbered(number), ECG)

    with caplog.at_level(logging.WARNING):
        found = course(scenario, limit=4)
    assert found.outcomes() == {"compared": 4, "dropped": 6}
    assert [int(row.analysis_id[-2:], 16) for row in found.kept.batches[0]] == [0, 1, 2, 3]
    assert [r.message for r in caplog.records] == ["shadow mode is behind: what comes now is not compared"]


def test_what_does_not_end_in_time_is_dropped_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interop.shadow.DRAIN_SECONDS", 0.1)
    candidate = Candidate()
    candidate.proceed.clear()

    async def scenario(it: Course) -> None:
        for number in range(3):
            it.shadow.offer(numbered(number), ECG)
        asyncio.get_running_loop().call_later(0.3, candidate.proceed.set)

    found = course(scenario, candidate)
    assert found.outcomes() == {"dropped": 3}, "also the one that was under way"
    assert found.kept.batches == []


@pytest.mark.parametrize("failure", [ModelUnavailable("no"), ZeroDivisionError()], ids=["ours", "a defect"])
def test_a_model_that_fails_is_counted_and_logged_and_the_next_ecg_is_tried(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Course) -> None:
        it.candidate.failure = failure
        it.shadow.offer(numbered(1), ECG)
        while not it.outcomes():
            await asyncio.sleep(0.01)
        it.candidate.failure = None
        it.shadow.offer(numbered(2), ECG)

    found = course(scenario)
    assert found.outcomes() == {"failed": 1, "compared": 1}
    (record,) = caplog.records
    assert record.message == "shadow mode failed"
    assert record.__dict__["code"] in ("model-unavailable", "ZeroDivisionError")


def test_a_store_that_fails_is_counted() -> None:
    async def scenario(it: Course) -> None:
        it.shadow.offer(ANALYSIS, ECG)

    assert course(scenario, failure=StorageUnavailable("gone")).outcomes() == {"failed": 1}


def test_an_analysis_that_was_not_stored_counts_for_nothing() -> None:
    async def scenario(it: Course) -> None:
        it.shadow.offer(ANALYSIS, ECG)

    assert course(scenario, known=False).outcomes() == {}


def test_what_could_not_be_classified_is_no_matter_of_it() -> None:
    unreadable = replace(ANALYSIS, prediction=None)

    async def scenario(it: Course) -> None:
        it.shadow.offer(unreadable, ECG)

    found = course(scenario)
    assert (found.outcomes(), found.candidate.calls) == ({}, [])


def test_an_analysis_of_the_same_release_is_not_compared() -> None:
    async def scenario(it: Course) -> None:
        it.shadow.offer(replace(ANALYSIS, prediction=predicted(CANDIDATE, MI=0.9)), ECG)

    found = course(scenario)
    assert (found.outcomes(), found.candidate.calls) == ({"same-model": 1}, [])


def test_silent_analyses_are_compared_too() -> None:
    async def scenario(it: Course) -> None:
        it.shadow.offer(replace(ANALYSIS, mode=Mode.SILENT), ECG)

    assert course(scenario).outcomes() == {"compared": 1}


def test_results_of_a_second_are_written_together() -> None:
    async def scenario(it: Course) -> None:
        for number in range(5):
            it.shadow.offer(numbered(number), ECG)
        await asyncio.sleep(0.5)
        assert it.kept.batches == []
        await asyncio.sleep(0.7)
        assert [len(batch) for batch in it.kept.batches] == [5]

    course(scenario)


def test_a_result_that_comes_while_others_are_written_is_written_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interop.shadow.STORE_SECONDS", 0.05)
    candidate = Candidate()

    async def scenario(it: Course) -> None:
        it.shadow.offer(numbered(1), ECG)
        while it.kept.batches == []:
            await asyncio.sleep(0.005)
        candidate.proceed.clear()
        it.shadow.offer(numbered(2), ECG)
        it.shadow.offer(numbered(3), ECG)
        while len(candidate.calls) < 2:
            await asyncio.sleep(0.005)
        it.shadow._rows.append(replace(it.kept.batches[0][0], analysis_id="in between"))
        await asyncio.sleep(0.1)
        candidate.proceed.set()

    assert course(scenario, candidate).outcomes() == {"compared": 4}


SAME_WEIGHTS = ModelInfo("other", "9.9.9", CHAMPION.status, CANDIDATE.sha256)
STRICT = dict.fromkeys(Superclass, 0.9)


@pytest.mark.parametrize(
    ("model", "thresholds", "alike"),
    [
        (replace(CANDIDATE, sha256="f" * 64), THRESHOLDS, True),  # the same release in another precision
        (SAME_WEIGHTS, THRESHOLDS, True),
        (SAME_WEIGHTS, STRICT, False),  # other thresholds decide otherwise
        (CHAMPION, THRESHOLDS, False),
    ],
)
def test_two_releases_decide_alike_where_weights_and_thresholds_are_the_same(
    model: ModelInfo, thresholds: dict[Superclass, float], alike: bool
) -> None:
    prediction = Prediction(predicted(MI=0.9).probabilities, thresholds, model)
    assert decide_alike(prediction, cast(Classifier, Candidate())) is alike


def test_a_door_offers_what_it_has_stored_and_nothing_else() -> None:
    with running() as service:
        offered: list[tuple[str, Recording]] = []
        object.__setattr__(service.intake, "shadow", lambda a, r: offered.append((str(a.id), r)))
        ecg = {"ecg_signal": matrix(ECG), "sampling_rate": 500}
        answer = service.client.post("/predict", json=ecg)
        assert answer.status_code == 200
        assert [name for name, _ in offered] == [answer.json()["prediction_id"]]
        assert offered[0][1].signal.shape == ECG.signal.shape
