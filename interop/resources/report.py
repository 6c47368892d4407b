"""Analysis -> FHIR documents with their index rows.

One analysis gives a DiagnosticReport, a ServiceRequest for each recommendation, Observations for measurements and
probabilities, the Devices that made them, and a Provenance over all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actions.analysis import Analysis, Mode
from actions.ports import Ids
from inference.recording import Recording
from interop.resources.codes import (
    EKG_STUDY,
    ELECTROCARDIAC,
    OWN_DEVICE_EXTENSION,
    OWN_MODEL_STATUS_EXTENSION,
    OWN_MODEL_WAIVER_EXTENSION,
    PROCEDURE,
    Json,
    concept,
)
from interop.resources.devices import model_device, software_device
from interop.resources.documents import Indexed, Issuance, reference
from interop.resources.findings import measurement_observations, probability_observation
from interop.resources.origin import Origin
from interop.resources.provenance import provenance
from interop.resources.requests import PRIORITIES, coding_json, service_request
from interop.resources.times import instant
from interop.resources.validation import target_type

# What DiagnosticReport.basedOn may refer to; Observation.basedOn may refer to more.
REQUEST_TYPES = frozenset(
    {"CarePlan", "ImmunizationRecommendation", "MedicationRequest", "NutritionOrder", "ServiceRequest"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """All documents of one analysis. devices: resources without meta, which are stored once for each model and software
    version, then shared."""

    report: Indexed
    service_requests: tuple[Indexed, ...]
    observations: tuple[Indexed, ...]
    provenance: Indexed
    devices: tuple[Mapping[str, Any], ...]

    def as_document(self, device: Mapping[str, Any]) -> Indexed:
        """A device as it is stored the first time: the same in silent mode."""
        return Issuance(at=self.report.document.last_updated).document(device, by_machine=False)

    @property
    def owned(self) -> tuple[Indexed, ...]:
        """Everything that belongs to this analysis alone."""
        return (self.report, *self.service_requests, *self.observations, self.provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What the documents of one analysis share."""

    analysis: Analysis
    recording: Recording
    origin: Origin
    ecg: Json
    issuance: Issuance
    ids: Ids

    @property
    def common(self) -> Json:
        """Members that the report, the requests and the derived Observations have alike."""
        return {"subject": self.origin.subject_reference(), **self.origin.copied("encounter")}

    @property
    def effective(self) -> Json:
        """When the ECG was recorded, as precisely as the source says it; nothing for an undated one."""
        copied = self.origin.copied("effectiveDateTime", "effectivePeriod", "effectiveInstant")
        if "effectiveInstant" in copied:  # a DiagnosticReport has no such form
            return {"effectiveDateTime": copied["effectiveInstant"]}
        at = self.recording.recorded_at
        return copied or ({"effectiveDateTime": instant(at)} if at else {})


def render(analysis: Analysis, *, recording: Recording, origin: Origin, observation_id: str, ids: Ids) -> Rendered:
    """Every document of an analysis. observation_id: of the ECG itself, stored beside them."""
    issuance = Issuance(at=analysis.analyzed_at, silent=analysis.mode is Mode.SILENT)
    ecg = {"reference": f"Observation/{observation_id}"}
    frame = _Frame(analysis=analysis, recording=recording, origin=origin, ecg=ecg, issuance=issuance, ids=ids)
    devices = _devices(analysis)
    software = {"reference": f"Device/{devices[0]['id']}"}
    model = {"reference": f"Device/{devices[-1]['id']}"} if analysis.prediction else None
    observations = tuple(_observations(frame, model))
    report = _report(frame, observations, model)
    requests = tuple(_requests(frame, report, model or software))
    made = provenance(
        targets=[reference(item) for item in (report, *requests, *observations)],
        at=analysis.analyzed_at,
        model=model,
        software=software,
        source=ecg,
        policy=analysis.policy,
    )
    return Rendered(
        report=report,
        service_requests=requests,
        observations=observations,
        provenance=issuance.document({"resourceType": "Provenance", "id": str(ids()), **made}),
        devices=devices,
    )


def _devices(analysis: Analysis) -> tuple[Mapping[str, Any], ...]:
    """The software, and the model where one was run."""
    prediction = analysis.prediction
    return (software_device(), model_device(prediction.model)) if prediction else (software_device(),)


def _observations(frame: _Frame, model: Json | None) -> Iterator[Indexed]:
    derived = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [PROCEDURE],
        **frame.common,
        **frame.effective,
        "issued": frame.issuance.issued,
        "derivedFrom": [frame.ecg],
    }
    if frame.analysis.prediction:
        found = probability_observation(frame.analysis.prediction)
        yield frame.issuance.document(derived | {"id": str(frame.ids()), "device": model} | found)
    for measured in measurement_observations(frame.analysis):
        yield frame.issuance.document(derived | {"id": str(frame.ids())} | measured)


def _report(frame: _Frame, observations: tuple[Indexed, ...], model: Json | None) -> Indexed:
    analysis = frame.analysis
    return frame.issuance.document(
        {
            "resourceType": "DiagnosticReport",
            "id": str(analysis.id),
            "extension": _extensions(analysis, model),
            "identifier": _order_numbers(frame.origin),
            "basedOn": _based_on(frame.origin),
            "status": "preliminary" if analysis.interpretable else "cancelled",
            "category": [concept(ELECTROCARDIAC)],
            "code": concept(EKG_STUDY, text="12-lead ECG, automatic analysis"),
            **frame.common,
            **frame.effective,
            "issued": frame.issuance.issued,
            "result": [frame.ecg, *(reference(item) for item in observations)],
            "conclusion": "\n".join(dict.fromkeys((analysis.conclusion, *analysis.warnings))),
            "conclusionCode": [concept(coding_json(code), text=code.display) for code in analysis.conclusion_codes],
        }
    )


def _requests(frame: _Frame, report: Indexed, requester: Json) -> Iterator[Indexed]:
    for recommendation in frame.analysis.recommendations:
        if recommendation.urgency in PRIORITIES:
            yield frame.issuance.document(
                {
                    "resourceType": "ServiceRequest",
                    "id": str(frame.ids()),
                    **frame.common,
                    "authoredOn": frame.issuance.issued,
                    "requester": requester,
                    "reasonReference": [reference(report)],
                    **service_request(recommendation),
                }
            )


def _extensions(analysis: Analysis, model: Json | None) -> list[Json]:
    """The model, whether it passed the promotion gate and what was waived for it. R4 has no place for a Device in a
    report."""
    if analysis.prediction is None or model is None:
        return []
    made_by = analysis.prediction.model
    waived = [{"url": OWN_MODEL_WAIVER_EXTENSION, "valueString": made_by.waived}] if made_by.waived else []
    return [
        {"url": OWN_DEVICE_EXTENSION, "valueReference": model},
        {"url": OWN_MODEL_STATUS_EXTENSION, "valueCode": made_by.status.value},
        *waived,
    ]


def _order_numbers(origin: Origin) -> list[Json]:
    """OBR-2 and the source's OBR-3 (HL7 table 0203)."""
    numbers = {"PLAC": origin.placer_order_number, "FILL": origin.filler_order_number}
    return [number.as_json(kind) for kind, number in numbers.items() if number]


def _based_on(origin: Origin) -> list[Json]:
    """The orders of the received Observation that a report may be based on."""
    orders = origin.copied("basedOn").get("basedOn", [])
    raw = origin.observation.raw if origin.observation else {}
    return [order for order in orders if target_type(order, raw) in REQUEST_TYPES and not _is_contained(order)]


def _is_contained(order: Json) -> bool:
    return str(order.get("reference", "")).startswith("#")
