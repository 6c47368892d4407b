"""A past analysis made again, and where it differs from what was stored: pure.

What was given then is given again: age, sex, the time of the analysis and the status of the model as the Analysis has
them. All that is a result is compared as the store writes it, numbers by every bit; only where the signal is not known
to the bit any more, numbers may differ by `TOLERANCE`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from actions.analysis import Analysis, RequestContext
from actions.analyze import Analyze
from actions.intended_use import outside_intended_use
from actions.ports import Classify
from actions.rules import Policy
from actions.serialize import to_json
from inference.errors import ModelUnavailable
from inference.features import FEATURE_NAMES
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.recording import Recording

# Of numbers up to 1, and relative to larger ones. The samples are off by at most half of the finest step that is
# stored, 5 nV, a hundredth of what the best electrodes add as noise.
TOLERANCE = 1e-3

# What an Analysis holds beside results: what it is called, and how and when it came about.
NO_RESULTS = frozenset({"format", "id", "door", "analyzed_at", "mode", "timings"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not as it was. field: its path in the stored Analysis: `prediction.probabilities.MI`."""

    field: str
    then: object
    now: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What analyses: the model of then (None where nothing was classified), the rules of then, and the acute window."""

    classify: Classify | None
    policy: Policy
    acute_window: timedelta


def differences(
    past: Analysis,
    recording: Recording,
    engine: Engine,
    *,
    notes: Sequence[str] = (),
    features: NDArray[np.float32] | None = None,
    tolerance: float = 0.0,
) -> tuple[Difference, ...]:
    """Analyse the recording as then and compare. notes: of the door, which stand last among the warnings. features:
    those that were stored. Raises ModelUnavailable."""
    analyze = Analyze(
        classify=_as_then(engine.classify, past),
        policy=engine.policy,
        clock=lambda: past.analyzed_at,
        ids=lambda: past.id,
        acute_window=engine.acute_window,
    )
    context = RequestContext(door=past.door, received_at=past.analyzed_at, correlation_id=str(past.id), mode=past.mode)
    given = replace(_as_stated(recording, past), age=past.age, sex=past.sex, notes=tuple(notes))
    begun = analyze.begin(given, context)
    if begun.waits and past.prediction is None:
        return (Difference("quality", _plain(past.quality), _plain(begun.quality)),)
    again = analyze(given, context)
    found = [*_differ("", _results(past), _results(again), tolerance)]
    if features is not None and again.features is not None:
        found += _features_differ(features, again.features, tolerance)
    return tuple(found)


def _as_then(classify: Classify | None, past: Analysis) -> Classify:
    """The model, under the status that it had then: it may have been promoted since."""

    def classified(windows: Sequence[ModelInput]) -> Prediction:
        if classify is None or past.prediction is None:
            raise ModelUnavailable("nothing was classified then")
        return replace(classify(windows), model=past.prediction.model)

    return classified


def _as_stated(recording: Recording, past: Analysis) -> Recording:
    """With what the source stated of pacing and rest, which a stored ECG does not tell: as the reasons for being
    outside of intended use say."""
    changes: tuple[dict[str, Any], ...] = ({"paced": True}, {"resting": False})
    for change in changes:
        stated = replace(recording, **change)
        without = outside_intended_use(recording, past.quality)
        reasons = set(outside_intended_use(stated, past.quality)).difference(without)
        if reasons and reasons.issubset(past.outside_intended_use):
            recording = stated
    return recording


def _results(analysis: Analysis) -> Mapping[str, Any]:
    return {name: value for name, value in orjson.loads(to_json(analysis)).items() if name not in NO_RESULTS}


def _plain(value: object) -> object:
    return orjson.loads(orjson.dumps(value))


def _differ(path: str, then: Any, now: Any, tolerance: float) -> Iterator[Difference]:
    match then, now:
        case dict(), dict():
            for name in dict.fromkeys((*then, *now)):
                yield from _differ(f"{path}.{name}".lstrip("."), then.get(name), now.get(name), tolerance)
        case list(), list() if len(then) == len(now):
            for place, (one, other) in enumerate(zip(then, now, strict=True)):
                yield from _differ(f"{path}[{place}]", one, other, tolerance)
        case _:
            if not _alike(then, now, tolerance):
                yield Difference(path, then, now)


def _alike(then: object, now: object, tolerance: float) -> bool:
    if isinstance(then, float) and isinstance(now, float):
        # By their digits, which stand for all bits: 0.0 and -0.0 are equal otherwise.
        return repr(then) == repr(now) or (tolerance > 0 and abs(then - now) <= tolerance * max(1.0, abs(then)))
    return type(then) is type(now) and then == now


def _features_differ(then: NDArray[np.float32], now: NDArray[np.float32], tolerance: float) -> Iterator[Difference]:
    if len(then) != len(now):
        yield Difference("features", f"{len(then)} numbers", f"{len(now)} numbers")
        return
    for name, one, other in zip(FEATURE_NAMES, then.tolist(), now.tolist(), strict=True):
        if not (math.isnan(one) and math.isnan(other)) and not _alike(one, other, tolerance):
            yield Difference(f"features.{name}", one, other)
