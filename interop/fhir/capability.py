"""The CapabilityStatement: what `/fhir` can do, made from the tables that the routes are made from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.parameters import DEFINITIONS, INTERACTIONS, PARAMETERS, Interaction, Parameter

FHIR_VERSION = "4.0.1"
SOFTWARE = "ECG Clinical Action Recommender"
DISCLAIMER = (
    "Decision support for 12-lead resting ECGs. Every result is preliminary, to be confirmed by a clinician, and names "
    "the model that made it. Not a medical device: research and evaluation only."
)
DOCUMENTATION = {
    "Observation": "12-lead ECG with one SampledData component a lead (LOINC 11524-6 or MDC 131328). A create answers "
    "when the DiagnosticReport and everything else are durable; its Link header leads to the report.",
    "DiagnosticReport": "The analysis of one Observation; preliminary until over-read.",
    "ServiceRequest": "A proposed action, intent proposal and status draft; nothing is ever ordered by itself.",
    "Device": "The model that made a result.",
    "Provenance": "Which model and rules made a result, out of what.",
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
            "rest": [{"mode": "server", "resource": [_resource(*entry) for entry in INTERACTIONS.items()]}],
        }
    )


def _resource(type: str, interactions: Sequence[Interaction]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": type,
        "documentation": DOCUMENTATION[type],
        "interaction": [{"code": interaction} for interaction in interactions],
        "versioning": "versioned",
        "readHistory": True,
        "conditionalRead": "full-support",
        "searchParam": [_search_parameter(parameter) for parameter in PARAMETERS[type]],
    }
    if Interaction.CREATE in interactions:
        resource["conditionalCreate"] = True
    return resource


def _search_parameter(parameter: Parameter) -> dict[str, str]:
    return {
        "name": parameter.name,
        "definition": f"{DEFINITIONS}/{parameter.definition}",
        "type": parameter.kind,
        "documentation": parameter.documentation,
    }
