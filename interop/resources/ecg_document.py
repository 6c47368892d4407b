"""Recording -> FHIR Observation, as it is stored: the ECG itself, where it came by another door than FHIR."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from audit.packed import Body, Plain, WithSeries
from audit.series import MARK
from inference.lead_codes import mdc_code
from inference.recording import LEADS, Recording
from interop.resources.codes import EKG_STUDY, MDC, MDC_ECG, NOT_IDENTIFIED, PROCEDURE, Json, concept
from interop.resources.identifiers import Identifier
from interop.resources.sampled_data import counted
from interop.resources.times import instant

# As a string, because that is what the samples are.
_LEFT_OUT = orjson.Fragment(b'"' + MARK + b'"')


def render_ecg(
    recording: Recording,
    *,
    id: str,
    subject: Mapping[str, Any] | None,
    identifiers: Sequence[Identifier],
    issued: datetime,
) -> tuple[Json, Body]:
    """An Observation with twelve SampledData components, as version 1 of a document. subject None: not identified.

    The samples are in the second value only, stored as numbers unless one of them is invalid."""
    counts = counted(recording.signal, recording.sampling_rate)
    numbers = counts.whole()
    sampled = counts.sampled(counts.text if numbers is None else lambda _: _LEFT_OUT)
    document: Json = {
        "resourceType": "Observation",
        "id": id,
        "meta": {"versionId": "1", "lastUpdated": instant(issued)},
        "identifier": [identifier.as_json() for identifier in identifiers],
        "status": "final",
        "category": [PROCEDURE],
        "code": concept(EKG_STUDY, MDC_ECG, text="12-lead ECG"),
        "subject": dict(subject) if subject else NOT_IDENTIFIED,
        "effectiveDateTime": instant(recording.recorded_at) if recording.recorded_at else None,
        "issued": instant(issued),
        "note": [{"text": note} for note in recording.notes],
        "component": [
            {"code": concept({"system": MDC, "code": mdc_code(lead)}, text=lead), "valueSampledData": series}
            for lead, series in zip(LEADS, sampled, strict=True)
        ],
    }
    resource = {name: value for name, value in document.items() if value}
    text = orjson.dumps(resource)
    return resource, Plain(text) if numbers is None else WithSeries(text, numbers)
