"""What `/docs` says of `POST /predict`: its body is parsed by hand, so its schema is written here."""

from typing import Any

from actions.analysis import Mode, Urgency
from inference.labels import Superclass
from inference.prediction import ModelStatus
from inference.quality import QualityCode, Severity
from inference.recording import MAX_AGE, MAX_SAMPLING_RATE, MIN_SAMPLING_RATE
from interop.predict.schema import MEMBERS
from interop.problem import MEDIA_TYPE

NUMBER: dict[str, Any] = {"type": "number"}
TEXT: dict[str, Any] = {"type": "string"}
PROBABILITY: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _with_optional(schema: dict[str, Any], **properties: dict[str, Any]) -> dict[str, Any]:
    return schema | {"properties": schema["properties"] | properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _one_of(values: object) -> dict[str, Any]:
    return {"type": "string", "enum": [str(value) for value in list(values)]}  # type: ignore[call-overload]


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_DESCRIBED: dict[str, dict[str, Any]] = {
    "ecg_signal": {
        **_list(_list(_maybe(NUMBER))),
        "description": "12 x n or n x 12 samples in the order I II III aVR aVL aVF V1 to V6; null: invalid sample",
    },
    "sampling_rate": {
        "type": "number",
        "minimum": MIN_SAMPLING_RATE,
        "maximum": MAX_SAMPLING_RATE,
        "description": "Hz; may be absent only when n is 5000, which counts as 500 Hz",
    },
    "unit": {"type": "string", "default": "mV", "examples": ["mV", "uV", "V"]},
    "leads": {**_list(TEXT), "description": "names in the order of ecg_signal: all 12, or the 8 independent ones"},
    "recorded_at": {"type": "string", "format": "date-time", "description": "absent: just made"},
    "patient_age": {"type": "number", "minimum": 0, "maximum": MAX_AGE, "description": "years"},
    "patient_sex": {"type": "string", "examples": ["F", "M", "female", "male", "other", "unknown"]},
    "paced": {"type": "boolean", "description": "whether the rhythm is paced"},
    "resting": {"type": "boolean", "description": "whether it is a resting ECG"},
}

REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {name: _DESCRIBED[name] for name in MEMBERS},
    "required": ["ecg_signal"],
    "additionalProperties": False,
}

ANSWER: dict[str, Any] = _object(
    prediction_id={"type": "string", "format": "uuid"},
    model=_with_optional(
        _object(name=TEXT, version=TEXT, status=_one_of(ModelStatus)),
        waived={**TEXT, "description": "what the model was promoted without, by waiver; absent: nothing"},
    ),
    mode=_one_of(Mode),
    probabilities=_object(**{c.value: PROBABILITY for c in Superclass}),
    diagnoses=_list(_object(code=_one_of(Superclass), name=TEXT, probability=PROBABILITY)),
    recommendations=_list(
        _object(
            action=TEXT,
            urgency=_one_of(Urgency),
            confidence=PROBABILITY,
            diagnosis=_maybe(_one_of(Superclass)),
            rationale=TEXT,
        )
    ),
    conclusion=TEXT,
    quality=_object(
        usable={"type": "boolean"},
        clean={"type": "boolean"},
        findings=_list(_object(code=_one_of(QualityCode), severity=_one_of(Severity), leads=_list(TEXT), text=TEXT)),
    ),
    measurements=_object(**{name: _maybe(NUMBER) for name in ("heart_rate", "pr", "qrs", "qt", "qtc", "axis")}),
    warnings=_list(TEXT),
    latency_ms=NUMBER,
)

PROBLEM: dict[str, Any] = {
    **_object(title=TEXT, status={"type": "integer"}, detail=TEXT, code=TEXT, correlation_id=TEXT),
    "description": "RFC 9457; `element` or `errors` name what is wrong where",
}

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": REQUEST}}},
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The analysis, durable", "content": {"application/json": {"schema": ANSWER}}},
    **{
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
        for status, text in {
            400: "No JSON object",
            413: "Too large",
            415: "Not application/json",
            422: "Invalid content, or a signal that nobody could interpret",
            503: "Try again after Retry-After seconds",
        }.items()
    },
}
