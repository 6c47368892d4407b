"""The first use case: a Recording in, an Analysis out, no I/O.

In two halves around the classification, so that a serving lane may begin several recordings, classify their windows in
one batch, and finish each:

    begun = analyze.begin(recording, context)
    prediction = classify(begun.windows)        # only if begun.usable
    analysis = analyze.finish(begun, prediction)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter

from actions.analysis import Analysis, RequestContext
from actions.conclusion import Evidence
from actions.intended_use import outside_intended_use
from actions.mapping import Interpretation, interpret, refuse
from actions.ports import Classify, Clock, Ids
from actions.recency import Recency, judge_recency
from actions.rules import Policy
from inference.beats import find_beats
from inference.features import extract
from inference.measurements import Measurements, measure
from inference.prediction import Prediction
from inference.prepare import ModelInput, prepare
from inference.quality import QualityReport, assess
from inference.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Begun:
    """A recording on its way, up to the classification. windows: what to classify, empty when it is not usable.
    timings: seconds per stage so far."""

    recording: Recording
    context: RequestContext
    quality: QualityReport
    measurements: Measurements
    windows: tuple[ModelInput, ...]
    timings: Mapping[str, float]

    @property
    def usable(self) -> bool:
        """Whether there is anything to classify."""
        return self.quality.usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze:
    """The use case with what it needs. acute_window: younger recordings may be `immediate` or `urgent`."""

    classify: Classify
    policy: Policy
    clock: Clock
    ids: Ids
    acute_window: timedelta = timedelta(hours=24)

    def __call__(self, recording: Recording, context: RequestContext) -> Analysis:
        """Analyse one recording. Raises ModelUnavailable when the model fails; a signal that nobody could read is no
        error but an Analysis without a prediction."""
        begun = self.begin(recording, context)
        if not begun.usable:
            return self.finish(begun, None)
        started = perf_counter()
        prediction = self.classify(begun.windows)
        return self.finish(begun, prediction, classify_seconds=perf_counter() - started)

    def begin(self, recording: Recording, context: RequestContext) -> Begun:
        """Everything before the classification."""
        timings: dict[str, float] = {}
        with _timed(timings, "quality"):
            quality = assess(recording)
        measurements, windows = _prepared(recording, timings) if quality.usable else (Measurements(), ())
        return Begun(
            recording=recording,
            context=context,
            quality=quality,
            measurements=measurements,
            windows=windows,
            timings=timings,
        )

    def finish(self, begun: Begun, prediction: Prediction | None, *, classify_seconds: float | None = None) -> Analysis:
        """Everything after it. prediction: None if and only if `begun` is not usable (ValueError otherwise).
        classify_seconds: what the classification took, for the timings."""
        if begun.usable != (prediction is not None):
            raise ValueError("a usable recording needs a prediction, another has none")
        timings = dict(begun.timings)
        if classify_seconds is not None:
            timings["classify"] = classify_seconds
        now = self.clock()
        with _timed(timings, "map"):
            recency = judge_recency(begun.recording.recorded_at, now, self.acute_window)
            outside = outside_intended_use(begun.recording, begun.quality)
            interpretation = self._interpret(begun, prediction, recency, outside)
        recording, context = begun.recording, begun.context
        return Analysis(
            id=self.ids(),
            door=context.door,
            analyzed_at=now,
            recorded_at=recency.recorded_at,
            age=recording.age,
            sex=recording.sex,
            sampling_rate=recording.sampling_rate,
            duration=recording.duration,
            quality=begun.quality,
            measurements=begun.measurements,
            prediction=prediction,
            recommendations=interpretation.recommendations,
            conclusion=interpretation.conclusion,
            conclusion_codes=interpretation.conclusion_codes,
            outside_intended_use=outside,
            archived=recency.archived,
            warnings=tuple(_warnings(begun, recency, interpretation)),
            mode=context.mode,
            policy=self.policy.info,
            timings=timings,
        )

    def _interpret(
        self, begun: Begun, prediction: Prediction | None, recency: Recency, outside: tuple[str, ...]
    ) -> Interpretation:
        if prediction is None:
            return refuse(begun.quality)
        evidence = Evidence(
            prediction=prediction,
            quality=begun.quality,
            measurements=begun.measurements,
            age=begun.recording.age,
            sex=begun.recording.sex,
            recency=recency,
            outside_intended_use=outside,
        )
        return interpret(self.policy, evidence)


def _prepared(recording: Recording, timings: dict[str, float]) -> tuple[Measurements, tuple[ModelInput, ...]]:
    with _timed(timings, "features"):
        beats = find_beats(recording)
        measurements = measure(beats)
        features = extract(beats, measurements, recording.age, recording.sex)
    with _timed(timings, "prepare"):
        windows = prepare(recording, features)
    return measurements, windows


def _warnings(begun: Begun, recency: Recency, interpretation: Interpretation) -> Iterator[str]:
    """What weighs most first: the model and the patient, then the signal, then how it came in."""
    yield from interpretation.warnings
    if recency.warning:
        yield recency.warning
    yield from (finding.text for finding in begun.quality.findings)
    yield from begun.recording.notes


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    started = perf_counter()
    yield
    timings[stage] = perf_counter() - started
