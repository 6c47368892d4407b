"""FHIR Observation -> Recording (FHIR R4 Observation, SampledData).

An ECG is an Observation with one component for each lead. It comes in as JSON, is checked completely, and becomes a
Recording. An ECG that came by another door goes out the same way: `interop.resources.ecg_document`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from inference.errors import InvalidContent, LeadsMissing, Malformed, SamplingRateInvalid, SignalMalformed
from inference.lead_codes import lead_of
from inference.recording import Recording, assemble
from interop.resources import sampled_data
from interop.resources.codes import ECG_CODES, MDC_SYSTEMS, Json
from interop.resources.identifiers import Identifier, identifiers_of
from interop.resources.patients import demographics
from interop.resources.sampled_data import MILLISECONDS, Series, located
from interop.resources.stored import stored
from interop.resources.subjects import contained_patient, patient_key, subject_problems
from interop.resources.times import Moment, Precision, moment
from interop.resources.validation import Problem, problems, refuse, target_type

__all__ = [
    "ReceivedObservation",
    "parse",
    "stored",
    "to_recording",
]

# A result in these states is no result (FHIR R4 ObservationStatus).
WITHDRAWN = frozenset({"cancelled", "entered-in-error"})

# Subjects that R4 allows an Observation in general.
NO_PATIENTS = frozenset({"Group", "Device", "Location"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedObservation:
    """A valid Observation. content: the bytes as they came; raw: the same, parsed. patient: the contained Patient that
    `subject` points to. is_waveform: it is, or contains, leads of an ECG. effective: aware; None when there is no time
    or only a month or year; noon UTC when only the day is known."""

    content: bytes
    raw: dict[str, Any]
    resource_type: str
    id: str | None
    status: str
    identifiers: tuple[Identifier, ...]
    subject: dict[str, Any] | None
    patient: dict[str, Any] | None
    is_waveform: bool
    effective: datetime | None

    @property
    def withdrawn(self) -> bool:
        """Cancelled or entered in error: stored, never analysed."""
        return self.status in WITHDRAWN

    @property
    def patient_key(self) -> str | None:
        """`system|value` or the reference: what keeps a patient's items in order. None for an unnamed patient."""
        return patient_key(self.subject or {}, self.patient)


def parse(content: bytes) -> ReceivedObservation:
    """Read and check an Observation.

    Raises Malformed for what is no JSON object; InvalidContent for another resource type; MissingElement when only
    required elements are absent (`subject` is one for us), else InvalidContent, each with all problems found and
    their FHIRPath expressions.
    """
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("resourceType"), str):
        raise Malformed("no FHIR resource: a JSON object with a resourceType is needed")
    if raw["resourceType"] != "Observation":
        raise InvalidContent(f"an Observation is needed, not {raw['resourceType'][:64]!r}", element="resourceType")
    refuse([*problems(raw), *subject_problems(raw)])
    refuse(list(_waveform_rules(raw)))  # these read what the first line has found to be well-formed
    return ReceivedObservation(
        content=content,
        raw=raw,
        resource_type="Observation",
        id=raw.get("id"),
        status=raw["status"],
        identifiers=identifiers_of(raw.get("identifier", ())),
        subject=raw.get("subject"),
        patient=contained_patient(raw),
        is_waveform=_is_waveform(raw),
        effective=_recorded_at(_effective(raw)),
    )


def _waveform_rules(raw: Json) -> Iterator[Problem]:
    """An ECG is of a patient, and its time is a real one."""
    if _is_waveform(raw) and target_type(raw["subject"], raw) in NO_PATIENTS:
        yield Problem("Observation.subject", "the subject of an ECG is a Patient")
    try:
        _effective(raw)
    except ValueError as error:
        yield Problem("Observation.effective", str(error))


def to_recording(received: ReceivedObservation) -> Recording:
    """Decode the leads.

    Raises UnitMissing, UnitUnsupported, LeadsMissing, SignalMalformed, SamplingRateInvalid with the expression of the
    element concerned.
    """
    leads, notes = _leads(received.raw)
    with located("Observation.component"):
        signal, completed = assemble({lead: series.values for lead, series in leads.items()})
        period = next(iter(leads.values())).period
        when = _effective(received.raw)
        person = demographics(received.patient, received.effective)
        return Recording(
            signal,
            MILLISECONDS / period,
            recorded_at=received.effective,
            age=person.age,
            sex=person.sex,
            notes=(*notes, *completed, *_time_notes(when), *person.notes),
        )


def _codings(concept: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    return [(coding.get("system"), coding["code"]) for coding in concept.get("coding", ()) if "code" in coding]


def _is_waveform(raw: Json) -> bool:
    if not isinstance(raw.get("code"), dict):
        return False
    if ECG_CODES.intersection(_codings(raw["code"])):
        return True
    return any(_lead(component["code"]) for _, component in _sampled(raw))


def _sampled(raw: Json) -> Iterator[tuple[str, Json]]:
    """(expression, component) of the components with SampledData."""
    for index, component in enumerate(raw.get("component", ())):
        if "valueSampledData" in component:
            yield f"Observation.component[{index}]", component


def _lead(code: Mapping[str, Any]) -> str | None:
    """The lead that a component's code names; MDC codes decide before codes of other systems and texts."""
    codings = sorted(_codings(code), key=lambda coding: coding[0] not in MDC_SYSTEMS)
    texts = [code.get("text"), *(coding.get("display") for coding in code.get("coding", ()))]
    candidates = [lead_of(coding) for _, coding in codings] + [lead_of(None, text) for text in texts]
    return next((lead for lead in candidates if lead), None)


def _leads(raw: Json) -> tuple[dict[str, Series], tuple[str, ...]]:
    """Every lead, decoded, and a note on each component that is none of the twelve."""
    if "valueSampledData" in raw:
        raise LeadsMissing(
            "the samples are in the Observation itself; one component for each lead is needed",
            element="Observation.valueSampledData",
        )
    leads: dict[str, Series] = {}
    notes: list[str] = []
    for element, component in _sampled(raw):
        lead = _lead(component["code"])
        if lead is None:
            notes.append(f"{element} is none of the twelve leads and was left out.")
        elif lead in leads:
            raise SignalMalformed(f"lead {lead} is there twice", element=f"{element}.code")
        else:
            leads[lead] = sampled_data.decode(component["valueSampledData"], f"{element}.valueSampledData")
            _check_alike(next(iter(leads.values())), leads[lead], f"{element}.valueSampledData")
    return leads, tuple(notes)


def _check_alike(first: Series, series: Series, element: str) -> None:
    """All leads have one length and one sampling rate."""
    if series.period != first.period:
        raise SamplingRateInvalid(
            f"period {series.period:g} ms; the first lead has {first.period:g} ms", element=f"{element}.period"
        )
    if len(series.values) != len(first.values):
        raise SignalMalformed(
            f"{len(series.values)} samples; the first lead has {len(first.values)}", element=f"{element}.data"
        )


def _effective(raw: Json) -> Moment | None:
    """effectiveDateTime, effectiveInstant, or the start of effectivePeriod. Raises ValueError for an impossible one."""
    text = raw.get("effectiveDateTime") or raw.get("effectiveInstant") or raw.get("effectivePeriod", {}).get("start")
    return moment(text) if text else None


def _recorded_at(when: Moment | None) -> datetime | None:
    return when.at if when and when.precision in (Precision.DAY, Precision.TIME) else None


def _time_notes(when: Moment | None) -> tuple[str, ...]:
    if when is None or when.precision is Precision.TIME:
        return ()
    return (f"Only the {when.precision} of the recording is known, not its time.",)
