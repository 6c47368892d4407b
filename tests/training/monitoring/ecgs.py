"""Made-up traffic: each feature of an ECG is drawn from a normal distribution, so that a shift is known exactly."""

from datetime import timedelta
from typing import Any

import numpy as np
import orjson

from audit.records import AnalysisRow
from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.labels import Superclass
from tests.training.monitoring.seen import NOW, SIGNAL, THRESHOLDS, analysis
from training.monitoring.columns import sample_of
from training.reference import Reference

MODEL = ("ecg-resnet", "1.0.0")


def ecg(random: np.random.Generator, *, shift: float = 0.0, only: str | None = None, **given: Any) -> AnalysisRow:
    """shift: added to each feature, or to `only` that."""
    features = random.normal(size=len(FEATURE_NAMES))
    features[slice(None) if only is None else FEATURE_NAMES.index(only)] += shift
    values: dict[str, Any] = {
        "sex": str(random.choice(["female", "male"])),
        "age": float(random.normal(60, 10)),
        "sender": str(random.choice(["CART|ER", "MUSE|ECG"])),
        "urgency": str(random.choice(["urgent", "routine", "none"])),
        "probabilities": {c.value: float(random.uniform()) for c in Superclass},
        "features": features.astype("<f4").tobytes(),
    }
    return analysis(**(values | given))


def ecgs(number: int, seed: int, **given: Any) -> list[AnalysisRow]:
    """So many, oldest first, a minute apart, the last a minute ago."""
    random = np.random.default_rng(seed)
    times = [NOW - timedelta(minutes=number - place) for place in range(number)]
    return [ecg(random, **({"analyzed_at": time} | given)) for time in times]


def detail_of(*codes: str, archived: bool = False, sampling_rate: float = 500.0) -> bytes:
    """With such findings on the signal."""
    findings = [{"code": code} for code in codes]
    told = {"quality": {"findings": findings}, "sampling_rate": sampling_rate, "archived": archived}
    return orjson.dumps({**SIGNAL, **told, "timings": {}, "prediction": {"thresholds": THRESHOLDS}})


def reference(number: int = 1000, seed: int = 1) -> Reference:
    """Of the same distribution."""
    sample = sample_of(ecgs(number, seed))
    return Reference(
        name=MODEL[0],
        version=MODEL[1],
        sha256="0" * 64,
        source="made up",
        features_version=FEATURES_VERSION,
        created=NOW,
        inputs=sample,
        outputs=sample,
        agreement={c.value: (180, 200) for c in Superclass},
    )
