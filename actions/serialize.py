"""Analysis <-> JSON bytes, exactly: what the store keeps, and what a replay reads again.

Floats are written with the shortest digits that give back the same number (orjson, as IEEE 754 asks), times as
ISO 8601 with offset. `format` tells later versions what they read.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from actions.analysis import Analysis, Door, Mode, PolicyInfo, Recommendation, Urgency
from inference.labels import Coding, Superclass
from inference.measurements import Measurements
from inference.prediction import ModelInfo, ModelStatus, Prediction
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex

FORMAT = 1

# Written and read as they are; every other field is converted below.
PLAIN_FIELDS = ("age", "sampling_rate", "duration", "conclusion", "archived", "timings")


def to_json(analysis: Analysis) -> bytes:
    """The whole Analysis as one JSON object."""
    document = {field.name: getattr(analysis, field.name) for field in fields(analysis) if field.compare}
    document |= {
        "format": FORMAT,
        "id": str(analysis.id),
        "analyzed_at": analysis.analyzed_at.isoformat(),
        "recorded_at": analysis.recorded_at.isoformat() if analysis.recorded_at else None,
        "prediction": _prediction_json(analysis.prediction) if analysis.prediction else None,
        "timings": dict(analysis.timings),
    }
    return orjson.dumps(document)


def from_json(content: bytes) -> Analysis:
    """The Analysis that `to_json` wrote. Raises ValueError for anything else."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not an Analysis, nor JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("not an Analysis of a known format")
    try:
        return _analysis(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a complete Analysis: {error}") from error


def _analysis(document: Mapping[str, Any]) -> Analysis:
    return Analysis(
        **{name: document[name] for name in PLAIN_FIELDS},
        id=UUID(document["id"]),
        door=Door(document["door"]),
        analyzed_at=datetime.fromisoformat(document["analyzed_at"]),
        recorded_at=datetime.fromisoformat(document["recorded_at"]) if document["recorded_at"] else None,
        sex=Sex(document["sex"]),
        quality=QualityReport(tuple(map(_finding, document["quality"]["findings"]))),
        measurements=Measurements(**document["measurements"]),
        prediction=_prediction(document["prediction"]) if document["prediction"] else None,
        recommendations=tuple(map(_recommendation, document["recommendations"])),
        conclusion_codes=tuple(Coding(**code) for code in document["conclusion_codes"]),
        outside_intended_use=tuple(document["outside_intended_use"]),
        warnings=tuple(document["warnings"]),
        mode=Mode(document["mode"]),
        policy=PolicyInfo(**document["policy"]),
    )


def _prediction_json(prediction: Prediction) -> dict[str, Any]:
    return {
        "probabilities": {c.value: float(prediction.probabilities[c]) for c in Superclass},
        "thresholds": {c.value: float(prediction.thresholds[c]) for c in Superclass},
        "model": prediction.model,
    }


def _finding(entry: Mapping[str, Any]) -> QualityFinding:
    return QualityFinding(
        code=QualityCode(entry["code"]),
        severity=Severity(entry["severity"]),
        leads=tuple(entry["leads"]),
        text=entry["text"],
    )


def _prediction(entry: Mapping[str, Any]) -> Prediction:
    model: dict[str, Any] = dict(entry["model"])
    model["status"] = ModelStatus(model["status"])
    return Prediction(
        probabilities={Superclass(name): p for name, p in entry["probabilities"].items()},
        thresholds={Superclass(name): threshold for name, threshold in entry["thresholds"].items()},
        model=ModelInfo(**model),
    )


def _recommendation(entry: Mapping[str, Any]) -> Recommendation:
    values: dict[str, Any] = dict(entry)
    values["urgency"] = Urgency(entry["urgency"])
    values["diagnosis"] = Superclass(entry["diagnosis"]) if entry["diagnosis"] else None
    values["code"] = Coding(**entry["code"]) if entry["code"] else None
    return Recommendation(**values)
