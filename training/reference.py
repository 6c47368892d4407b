"""The reference profile of a release: what it saw and said on recordings that are as they should be.

Live traffic is compared with it. It holds distributions and no recording: deciles, from which any measure of drift can
be calculated (population stability, Kolmogorov-Smirnov at ten points), and shares.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.artifact import load_artifact
from inference.classifier import Classifier, load_classifier
from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.labels import Superclass
from inference.precision import Precision
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.quality import QualityCode, assess
from training.datasets.entry import Entry
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.preparing import Progress

DECILES = np.linspace(0, 1, 11)
BATCH = 32
CLEAN = "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Of one value. known: share of the recordings that have it. deciles: minimum, nine deciles and maximum of those;
    empty when none has it."""

    known: float
    deciles: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassProfile:
    """Of one superclass. decided: share of the recordings at or above the threshold."""

    probability: Distribution
    threshold: float
    decided: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceProfile:
    """sha256: of the graph. features: by name. quality: share of recordings with each finding of `inference.quality`,
    and of those without any. nothing_decided: share of recordings where no class is."""

    name: str
    version: str
    sha256: str
    source: str
    recordings: int
    features_version: str
    features: Mapping[str, Distribution]
    quality: Mapping[str, float]
    classes: Mapping[str, ClassProfile]
    nothing_decided: float


def reference_profile(
    folder: Path,
    entries: Sequence[Entry],
    *,
    cache: Path = Path("var/cache"),
    on_read: Progress | None = None,
) -> ReferenceProfile:
    """The profile of the release in `folder` on these recordings, as its fp32 graph answers.

    Raises ModelInvalid, ModelUnavailable, ValueError without recordings, and what reading raises.
    """
    if not entries:
        raise ValueError("no recordings to make a profile of")
    classifier = load_classifier(folder, precision=Precision.FP32)
    data = load_prepared(entries, cache)
    predictions = _classify(classifier, data)
    info = load_artifact(folder).info()
    return ReferenceProfile(
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        source=f"{entries[0].dataset} {entries[0].split}",
        recordings=len(data),
        features_version=FEATURES_VERSION,
        features={name: distribution(data.features[:, column]) for column, name in enumerate(FEATURE_NAMES)},
        quality=_quality(entries, on_read),
        classes={c.value: _class_profile(c, predictions) for c in Superclass},
        nothing_decided=_share([not p.decided for p in predictions]),
    )


def distribution(values: NDArray[np.floating]) -> Distribution:
    """Of values (n,), NaN for unknown."""
    known = np.asarray(values[~np.isnan(values)], np.float64)
    deciles = tuple(np.quantile(known, DECILES).tolist()) if len(known) else ()
    return Distribution(known=len(known) / len(values), deciles=deciles)


def write_profile(profile: ReferenceProfile, file: Path) -> Path:
    """As one JSON object. Gives the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(profile), indent=2) + "\n")
    return file


def read_profile(file: Path) -> ReferenceProfile:
    """What `write_profile` wrote. Raises KeyError, TypeError or ValueError for anything else, OSError."""
    value = json.loads(file.read_text())
    features = {name: _distribution(found) for name, found in value["features"].items()}
    classes = {
        name: ClassProfile(**{**found, "probability": _distribution(found["probability"])})
        for name, found in value["classes"].items()
    }
    return ReferenceProfile(**{**value, "features": features, "classes": classes})


def _distribution(value: Mapping[str, object]) -> Distribution:
    return Distribution(**{**value, "deciles": tuple(value["deciles"])})  # type: ignore[arg-type]


def _classify(classifier: Classifier, data: Prepared) -> list[Prediction]:
    found: list[Prediction] = []
    for start in range(0, len(data), BATCH):
        rows = range(start, min(start + BATCH, len(data)))
        found += classifier.batch([[ModelInput(np.array(data.signals[i]), np.array(data.features[i]))] for i in rows])
    return found


def _class_profile(superclass: Superclass, predictions: Sequence[Prediction]) -> ClassProfile:
    probabilities = np.array([p.probabilities[superclass] for p in predictions])
    return ClassProfile(
        probability=distribution(probabilities),
        threshold=predictions[0].thresholds[superclass],
        decided=_share([superclass in p.decided for p in predictions]),
    )


def _quality(entries: Sequence[Entry], on_read: Progress | None) -> dict[str, float]:
    found: Counter[str] = Counter()
    for done, entry in enumerate(entries, start=1):
        report = assess(entry.read())
        found.update({finding.code.value for finding in report.findings} or {CLEAN})
        if on_read is not None:
            on_read(done, len(entries))
    return {name: found[name] / len(entries) for name in (CLEAN, *(code.value for code in QualityCode))}


def _share(holds: Sequence[bool]) -> float:
    return sum(holds) / len(holds)
