"""The CapabilityStatement: what `/fhir` can do, made from the tables that the routes are made from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from interop.fhir import audit_events, definitions, operations
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import DEFINITIONS, INTERACTIONS, NOTES, TAG_NOTE, Interaction, parameters
from interop.fhir.patch import MEDIA_TYPE as JSON_PATCH
from interop.resources import conformance
from interop.resources.index import TAG
from interop.resources.search_parameters import SEARCH_PARAMETERS, Kind, SearchParameter

FHIR_VERSION = "4.0.1"
SYSTEM_INTERACTIONS = ("transaction", "batch")
SOFTWARE = "ECG Clinical Action Recommender"
DISCLAIMER = (
    "Decision support for 12-lead resting ECGs. Every result is preliminary, to be confirmed by a clinician, and names "
    "the model that made it. Not a medical device: research and evaluation only."
)
DOCUMENTATION = {
    "Observation": "12-lead ECG with one SampledData component a lead (LOINC 11524-6 or MDC 131328). A create answers "
    "when the DiagnosticReport and everything else are durable; its Link header leads to the report.",
    "DiagnosticReport": "The analysis of one Observation; preliminary until a clinician over-reads it, by an "
    "update or a patch with If-Match, the new status and resultsInterpreter.",
    "ServiceRequest": "A proposed action, intent proposal and status draft; nothing is ever ordered by itself.",
    "Device": "The model that made a result, and devices of clients.",
    "Provenance": "Which model and rules made a result, out of what.",
    "Patient": "Age and sex at the time of an ECG come from here, where the ECG does not bring its own Patient. This "
    "service is a facade: it also takes ECGs of patients that it does not hold.",
    "DocumentReference": "Documents of clients. An ECG file in one (DICOM, SCP-ECG, HL7 aECG, MUSE or Philips XML), as "
    "data or in a Binary of this service, is analysed like an ECG Observation: it becomes one that is derivedFrom the "
    "document, and the Link header leads to its report. A file at a URL elsewhere is not fetched, and so not analysed.",
    "Binary": "Any content, as it is: the body with its Content-Type, or a Binary in FHIR JSON. Read in its own media "
    "type unless FHIR JSON is asked for. Not analysed by itself.",
    "Task": "Work of clients on results.",
}


def statement(base: str, version: str, date: datetime) -> bytes:
    """The statement as JSON. version: of this software. date: when this instance took up its present configuration."""
    return orjson.dumps(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": date.isoformat(timespec="seconds"),
            "kind": "instance",
            "software": {"name": SOFTWARE, "version": version},
            "implementation": {"description": DISCLAIMER, "url": base},
            "fhirVersion": FHIR_VERSION,
            "format": [FHIR_JSON, "json"],
            "patchFormat": [JSON_PATCH],
            "rest": [
                {
                    "mode": "server",
                    "resource": [
                        *(_resource(*entry) for entry in INTERACTIONS.items()),
                        _audit_events(),
                        *(_definitions(kind) for kind in definitions.TYPES),
                    ],
                    "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                    "operation": [_operation(one) for one in operations.SYSTEM],
                }
            ],
        }
    )


def _resource(type: str, interactions: Sequence[Interaction]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": type,
        "supportedProfile": conformance.supported_profiles(type),
        "documentation": DOCUMENTATION[type],
        "interaction": [{"code": interaction} for interaction in interactions],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": Interaction.UPDATE in interactions and Interaction.CREATE in interactions,
        "conditionalCreate": Interaction.CREATE in interactions,
        "conditionalRead": "full-support",
        "conditionalUpdate": Interaction.UPDATE in interactions,
        "conditionalDelete": "single" if Interaction.DELETE in interactions else "not-supported",
        "referencePolicy": ["literal", "logical"],
        "searchInclude": _includes(type),
        "searchRevInclude": [include for other in SEARCH_PARAMETERS for include in _reverse_includes(other, type)],
        "searchParam": [_search_parameter(type, found) for found in _searched(type, interactions)],
        "operation": [_operation(one) for one in operations.OF_TYPE[type]],
    }
    return {name: value for name, value in resource.items() if value != []}


def _searched(type: str, interactions: Sequence[Interaction]) -> list[SearchParameter]:
    return list(parameters(type).values()) if Interaction.SEARCH in interactions else []


def _definitions(type: str) -> dict[str, Any]:
    """A type of our own conformance resources."""
    return {
        "type": type,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [
            {"name": "url", "definition": f"{DEFINITIONS}/conformance-url", "type": "uri"},
            {"name": "_id", "definition": f"{DEFINITIONS}/Resource-id", "type": "token"},
        ],
    }


def _audit_events() -> dict[str, Any]:
    return {
        "type": audit_events.TYPE,
        "documentation": "The audit trail; its entries cannot be written or changed here.",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [_search_parameter(audit_events.TYPE, found) for found in audit_events.PARAMETERS.values()],
    }


def _operation(one: operations.Operation) -> dict[str, str]:
    return {"name": one.name, "definition": one.definition}


def _includes(type: str) -> list[str]:
    return [f"{type}:{one.name}" for one in _references(type)]


def _reverse_includes(other: str, type: str) -> list[str]:
    return [f"{other}:{one.name}" for one in _references(other) if not one.targets or type in one.targets]


def _references(type: str) -> list[SearchParameter]:
    return [one for one in SEARCH_PARAMETERS[type].values() if one.kind is Kind.REFERENCE]


def _search_parameter(type: str, found: SearchParameter) -> dict[str, str]:
    note = TAG_NOTE if found.name == TAG else NOTES.get((type, found.name))
    described = {"name": found.name, "definition": found.url, "type": found.kind.value}
    return described | ({"documentation": note} if note else {})
