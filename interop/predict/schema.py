"""The body of `POST /predict` -> Recording, and Analysis -> its answer; both pure.

The matrix is read by simdjson or orjson and numpy: a validation library would take as long as the whole analysis may.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from actions.analysis import Analysis
from inference.errors import (
    InvalidContent,
    LeadsMissing,
    Malformed,
    MissingElement,
    SamplingRateInvalid,
    SignalMalformed,
)
from inference.labels import SUPERCLASS_NAMES, Superclass
from inference.lead_codes import lead_of
from inference.prediction import ModelInfo
from inference.recording import INDEPENDENT_LEADS, LEADS, MAX_AGE, Recording, Sex, assemble
from inference.units import to_millivolt
from interop.json_numbers import object_with_matrix

MEMBERS = (
    "ecg_signal",
    "sampling_rate",
    "unit",
    "leads",
    "recorded_at",
    "patient_age",
    "patient_sex",
    "paced",
    "resting",
)
# 10 s at 500 Hz is what most exports hold; with any other length a guessed rate would scale every interval.
ASSUMED_SAMPLES, ASSUMED_RATE = 5000, 500.0
NUMBERS_OF_LEADS = (len(LEADS), len(INDEPENDENT_LEADS))

SEXES: Mapping[str, Sex] = {
    **{sex.value: sex for sex in Sex},
    "f": Sex.FEMALE,
    "m": Sex.MALE,
    "w": Sex.FEMALE,
    "o": Sex.OTHER,
    "d": Sex.OTHER,
    "u": Sex.UNKNOWN,
    "": Sex.UNKNOWN,
}

Matrix = NDArray[np.float32]


def read(content: bytes, received_at: datetime) -> Recording:
    """The recording in a request body. received_at stands in for an absent `recorded_at`.

    Raises Malformed, MissingElement, SignalMalformed, LeadsMissing, SamplingRateInvalid, UnitUnsupported,
    InvalidContent, each naming the member.
    """
    body, matrix = _read(content)
    signal, notes = _signal(body, matrix)
    with _located("sampling_rate", SamplingRateInvalid), _located("ecg_signal", SignalMalformed):
        return Recording(
            signal=signal,
            sampling_rate=_sampling_rate(body.get("sampling_rate"), signal.shape[1]),
            recorded_at=_recorded_at(body.get("recorded_at")) or received_at,
            age=_age(body.get("patient_age")),
            sex=_sex(body.get("patient_sex")),
            paced=_flag(body, "paced"),
            resting=_flag(body, "resting"),
            notes=notes,
        )


def answer(analysis: Analysis, latency_ms: float) -> bytes:
    """The answer for an interpretable analysis, in the order of its recommendations (urgency, then confidence)."""
    prediction = analysis.prediction
    if prediction is None:
        raise ValueError("an uninterpretable signal has no prediction")
    return orjson.dumps(
        {
            "prediction_id": analysis.id,
            "model": _model(prediction.model),
            "mode": analysis.mode,
            "probabilities": {c.value: prediction.probabilities[c] for c in Superclass},
            "diagnoses": [
                {"code": c, "name": SUPERCLASS_NAMES[c], "probability": prediction.probabilities[c]}
                for c in prediction.decided
            ],
            "recommendations": [
                {name: getattr(r, name) for name in ("action", "urgency", "confidence", "diagnosis", "rationale")}
                for r in analysis.recommendations
            ],
            "conclusion": analysis.conclusion,
            "quality": {
                "usable": analysis.quality.usable,
                "clean": analysis.quality.clean,
                "findings": analysis.quality.findings,
            },
            "measurements": analysis.measurements,
            "warnings": analysis.warnings,
            "latency_ms": round(latency_ms, 2),
        }
    )


def _model(model: ModelInfo) -> dict[str, str]:
    """With what it was promoted without, if anything."""
    shown = {"name": model.name, "version": model.version, "status": model.status.value}
    return shown | ({"waived": model.waived} if model.waived else {})


def _read(content: bytes) -> tuple[Mapping[str, Any], Matrix]:
    """The members and the matrix, the fast way when nothing is in the way."""
    found = object_with_matrix(content, "ecg_signal")
    if found is not None and all(name in MEMBERS for name in found[0]):
        with np.errstate(over="ignore"):
            matrix = found[1].astype(np.float32)
        if np.isfinite(matrix).all():
            return found[0], matrix
    body = _members(content)
    return body, _matrix(body["ecg_signal"], b"true" in content or b"false" in content)


def _members(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise Malformed("the body must be a JSON object with the member ecg_signal")
    unknown = [name for name in body if name not in MEMBERS]
    if unknown:
        problems = [(name[:64], f"unknown member; known are {', '.join(MEMBERS)}") for name in unknown]
        raise InvalidContent(problems[0][1], element=problems[0][0], problems=problems)
    if body.get("ecg_signal") is None:
        raise MissingElement("ecg_signal is required", element="ecg_signal")
    return body


def _signal(body: Mapping[str, Any], matrix: Matrix) -> tuple[Matrix, tuple[str, ...]]:
    """(12, n) in mV, and what was calculated."""
    names = _leads(body.get("leads"))
    with _located("unit", InvalidContent):
        factor = to_millivolt("mV" if body.get("unit") is None else _text(body, "unit"))
    rows = _rows(matrix, len(LEADS) if names is None else len(names))
    if factor != 1.0:
        rows = rows * np.float32(factor)
    if names is None or names == LEADS:
        return np.ascontiguousarray(rows), ()
    with _located("leads", LeadsMissing):
        return assemble(dict(zip(names, rows, strict=True)))


def _matrix(value: Any, may_hold_booleans: bool) -> Matrix:
    """A two-dimensional array; null becomes NaN (an invalid sample)."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        raise SignalMalformed("ecg_signal must be a list of lists of numbers", element="ecg_signal")
    if len({len(row) for row in value}) != 1:
        raise SignalMalformed("the lists of ecg_signal differ in length", element="ecg_signal")
    for position, row in enumerate(value):
        if may_hold_booleans or not _adds_up(row):
            _check_numbers(row, position)
    with np.errstate(over="ignore"):
        matrix = np.array(value, np.float32)
    if np.isinf(matrix).any():
        raise SignalMalformed("ecg_signal holds numbers that are no voltage", element="ecg_signal")
    return matrix


def _adds_up(row: Sequence[Any]) -> bool:
    """The fastest test that Python has for a list of nothing but numbers (and booleans, which are integers)."""
    try:
        sum(row)
    except TypeError:
        return False
    return True


def _check_numbers(row: Sequence[Any], position: int) -> None:
    wrong = next((i for i, value in enumerate(row) if type(value) not in (float, int, type(None))), None)
    if wrong is not None:
        element = f"ecg_signal[{position}][{wrong}]"
        raise SignalMalformed("a sample must be a number, or null where it is invalid", element=element)


def _rows(matrix: Matrix, leads: int) -> Matrix:
    """One row a lead, whichever way round it came."""
    fits = [axis for axis, length in enumerate(matrix.shape) if length == leads]
    if not fits:
        shape = " x ".join(map(str, matrix.shape))
        raise LeadsMissing(f"ecg_signal is {shape}; one side must be the {leads} leads", element="ecg_signal")
    if len(fits) == 2:
        raise SignalMalformed(f"{leads} x {leads}: which side are the leads?", element="ecg_signal")
    return matrix if fits == [0] else matrix.T


def _leads(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) not in NUMBERS_OF_LEADS:
        raise LeadsMissing(f"leads must name all 12 leads, or the 8 of {', '.join(INDEPENDENT_LEADS)}", element="leads")
    names = [lead_of(name) if isinstance(name, str) else None for name in value]
    wrong = next((i for i, name in enumerate(names) if name is None or name in names[:i]), None)
    if wrong is not None:
        raise InvalidContent("not one of the twelve leads, or named twice", element=f"leads[{wrong}]")
    return tuple(name for name in names if name is not None)


def _sampling_rate(value: Any, samples: int) -> float:
    if value is None and samples == ASSUMED_SAMPLES:
        return ASSUMED_RATE
    if not _is_number(value):
        text = f"sampling_rate in Hz is required unless there are {ASSUMED_SAMPLES} samples a lead"
        raise SamplingRateInvalid(text, element="sampling_rate")
    return float(value)


def _recorded_at(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidContent("recorded_at must be an ISO 8601 time", element="recorded_at") from None
    if time.tzinfo is None:
        raise InvalidContent("recorded_at needs an offset, such as Z or +01:00", element="recorded_at")
    return time


def _age(value: Any) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= MAX_AGE:
        raise InvalidContent(f"patient_age must be 0 to {MAX_AGE:g} years", element="patient_age")
    return float(value)


def _sex(value: Any) -> Sex:
    if value is None:
        return Sex.UNKNOWN
    sex = SEXES.get(value.strip().lower()) if isinstance(value, str) else None
    if sex is None:
        raise InvalidContent("patient_sex must be M, F, male, female, other or unknown", element="patient_sex")
    return sex


def _flag(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidContent(f"{name} must be true, false or absent", element=name)
    return value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise InvalidContent(f"{name} must be a text", element=name)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def _located(element: str, kind: type[InvalidContent]) -> Iterator[None]:
    """Name the member in an error of the domain, which knows no members."""
    try:
        yield
    except kind as error:
        if error.element is not None:
            raise
        raise type(error)(error.message, element=element) from None
