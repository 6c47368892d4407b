"""Recommendations as ServiceRequests: proposals that a clinician may order, never orders."""

from actions.analysis import Recommendation, Urgency
from inference.labels import CONCLUSION_CODES, SUPERCLASS_NAMES, Coding
from interop.resources.codes import Json, concept

# Urgency.NONE makes no ServiceRequest.
PRIORITIES: dict[Urgency, str] = {
    Urgency.IMMEDIATE: "stat",
    Urgency.URGENT: "urgent",
    Urgency.ROUTINE: "routine",
}


def service_request(recommendation: Recommendation) -> Json:
    """What distinguishes one ServiceRequest. `recommendation.urgency` is a key of `PRIORITIES`."""
    return {
        "status": "draft",
        "intent": "proposal",
        "priority": PRIORITIES[recommendation.urgency],
        "code": concept(*_codings(recommendation.code), text=recommendation.action),
        "reasonCode": _reason(recommendation),
        "note": [
            {"text": recommendation.rationale},
            {"text": f"Confidence {recommendation.confidence:.2f}, rule {recommendation.rule}."},
            {"text": f"Source: {recommendation.source}"},
        ],
    }


def _reason(recommendation: Recommendation) -> list[Json]:
    """The diagnosis behind it; a rule on measurements or quality has its rationale only."""
    diagnosis = recommendation.diagnosis
    if diagnosis is None:
        return []
    return [concept(*_codings(CONCLUSION_CODES.get(diagnosis)), text=SUPERCLASS_NAMES[diagnosis])]


def _codings(coding: Coding | None) -> list[Json]:
    return [coding_json(coding)] if coding else []


def coding_json(coding: Coding) -> Json:
    """A Coding as FHIR writes it."""
    return {"system": coding.system, "code": coding.code, "display": coding.display}
