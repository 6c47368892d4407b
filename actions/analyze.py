"""The first use case: a Recording in, an Analysis out, no I/O.

In two halves around the classification, so that a serving lane may begin several recordings, classify their windows in
one batch, and finish each:

    begun = analyze.begin(recording, context)
    prediction = classify(begun.windows)        # only if begun.waits
    analysis = analyze.finish(begun, prediction)

With a feature cache, what was calculated of the same recording before is not calculated again: what is found takes the
place of features, windows and classification.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from actions.analysis import Analysis, Mode, RequestContext
from actions.computed import Computed
from actions.conclusion import Evidence
from actions.intended_use import outside_intended_use
from actions.mapping import Interpretation, interpret, refuse
from actions.ports import Classify, Clock, FeatureCache, Ids, Lookup
from actions.recency import Recency, judge_recency
from actions.rules import Policy
from inference.beats import find_beats
from inference.features import extract
from inference.measurements import Measurements, measure
from inference.prediction import ModelStatus, Prediction
from inference.prepare import ModelInput, prepare
from inference.quality import QualityReport, assess
from inference.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Begun:
    """A recording on its way, up to the classification. windows: what to classify; none when unusable or known.
    timings: seconds per stage so far. known: what was calculated of the same recording before. features: what was
    calculated now. lookup: where to keep it."""

    recording: Recording
    context: RequestContext
    quality: QualityReport
    measurements: Measurements
    windows: tuple[ModelInput, ...]
    timings: Mapping[str, float]
    known: Computed | None = None
    features: NDArray[np.float32] | None = None
    lookup: Lookup | None = None

    @property
    def waits(self) -> bool:
        """Whether there is anything to classify."""
        return self.quality.usable and self.known is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze:
    """The use case with what it needs. acute_window: younger recordings may be `immediate` or `urgent`.
    silent_candidates: what a candidate finds is silent, whatever the request's mode. It is decided here, where the
    model is known: another may have been activated since the request came in. cache: of the same model."""

    classify: Classify
    policy: Policy
    clock: Clock
    ids: Ids
    acute_window: timedelta = timedelta(hours=24)
    silent_candidates: bool = False
    cache: FeatureCache | None = None

    def __call__(self, recording: Recording, context: RequestContext) -> Analysis:
        """Analyse one recording. Raises ModelUnavailable when the model fails; a signal that nobody could read is no
        error but an Analysis without a prediction."""
        begun = self.begin(recording, context)
        if not begun.waits:
            return self.finish(begun, None)
        started = perf_counter()
        prediction = self.classify(begun.windows)
        return self.finish(begun, prediction, classify_seconds=perf_counter() - started)

    def begin(self, recording: Recording, context: RequestContext, digest: str | None = None) -> Begun:
        """Everything before the classification. digest: of the signal, where it is known already."""
        timings: dict[str, float] = {}
        with _timed(timings, "quality"):
            quality = assess(recording)
        lookup = self.cache.look_up(recording, digest) if self.cache else None
        begun = Begun(
            recording=recording,
            context=context,
            quality=quality,
            measurements=Measurements(),
            windows=(),
            timings=timings,
            lookup=lookup,
        )
        if not quality.usable:
            return begun
        if lookup is not None:
            with _timed(timings, "lookup"):
                known = lookup.found()
            if known is not None:
                return replace(begun, known=known, measurements=known.measurements)
        return _prepared(begun, timings)

    def finish(self, begun: Begun, prediction: Prediction | None, *, classify_seconds: float | None = None) -> Analysis:
        """Everything after it. prediction: None if and only if `begun` does not wait for one (ValueError otherwise).
        classify_seconds: what the classification took, for the timings."""
        if begun.waits != (prediction is not None):
            raise ValueError("a usable recording needs a prediction unless one is known, another has none")
        computed = begun.known or _kept(begun, prediction)
        if begun.known is not None:
            prediction = begun.known.prediction
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
            mode=self._mode(context, prediction),
            policy=self.policy.info,
            timings=timings,
            features=begun.features if begun.known is None else begun.known.features,
            computed=computed,
            windows=begun.windows,
        )

    def _mode(self, context: RequestContext, prediction: Prediction | None) -> Mode:
        is_candidate = prediction is not None and prediction.model.status is ModelStatus.CANDIDATE
        return Mode.SILENT if is_candidate and self.silent_candidates else context.mode

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


def _prepared(begun: Begun, timings: dict[str, float]) -> Begun:
    recording = begun.recording
    with _timed(timings, "features"):
        beats = find_beats(recording)
        measurements = measure(beats)
        features = extract(beats, measurements, recording.age, recording.sex)
    with _timed(timings, "prepare"):
        windows = prepare(recording, features)
    return replace(begun, measurements=measurements, features=features, windows=windows)


def _kept(begun: Begun, prediction: Prediction | None) -> Computed | None:
    if begun.lookup is None or begun.features is None or prediction is None:
        return None
    return begun.lookup.keep(begun.features, begun.measurements, prediction)


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
