"""Which resource types are served, what can be done with each, and what a search may ask of it.

The routes, the search and the CapabilityStatement are all made from these tables, so they cannot disagree. The
parameters of each type are in `interop.resources.search_parameters`; here are those of every type.
"""

from collections.abc import Mapping
from enum import StrEnum

from audit.criteria import ID, LAST_UPDATED
from interop.resources.index import TAG
from interop.resources.search_parameters import SEARCH_PARAMETERS, Kind, SearchParameter

DEFINITIONS = "http://hl7.org/fhir/SearchParameter"


class Interaction(StrEnum):
    """What can be done with a type (value set type-restful-interaction)."""

    CREATE = "create"
    READ = "read"
    VREAD = "vread"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    HISTORY_INSTANCE = "history-instance"
    HISTORY_TYPE = "history-type"
    SEARCH = "search-type"


READING = (
    Interaction.READ,
    Interaction.VREAD,
    Interaction.HISTORY_INSTANCE,
    Interaction.HISTORY_TYPE,
    Interaction.SEARCH,
)
CHANGING = (Interaction.CREATE, Interaction.UPDATE, Interaction.PATCH, Interaction.DELETE)

INTERACTIONS: Mapping[str, tuple[Interaction, ...]] = {
    "Patient": (*CHANGING, *READING),
    "Observation": (*CHANGING, *READING),
    # Reports are made here; clients over-read them.
    "DiagnosticReport": (Interaction.UPDATE, Interaction.PATCH, *READING),
    "ServiceRequest": (*CHANGING, *READING),
    "Device": (*CHANGING, *READING),
    "Provenance": (Interaction.CREATE, *READING),
    "DocumentReference": (*CHANGING, *READING),
    # R4 defines no search of it; whoever needs one has its id from an Attachment.
    "Binary": (Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE, Interaction.READ, Interaction.VREAD),
    "Task": (*CHANGING, *READING),
}


def _everywhere(name: str, kind: Kind, definition: str) -> SearchParameter:
    return SearchParameter(name=name, kind=kind, paths=(), url=f"{DEFINITIONS}/{definition}", row_name=name)


EVERYWHERE: Mapping[str, SearchParameter] = {
    ID: _everywhere(ID, Kind.TOKEN, "Resource-id"),
    LAST_UPDATED: _everywhere(LAST_UPDATED, Kind.DATE, "Resource-lastUpdated"),
    TAG: _everywhere(TAG, Kind.TOKEN, "Resource-tag"),
}

# What a client may wonder about; the registry says the rest.
NOTES: Mapping[tuple[str, str], str] = {
    ("Observation", "code"): "LOINC 11524-6 for ECGs; the codes of measurements",
    ("Observation", "status"): "As the sender stated it; preliminary for measurements",
    ("DiagnosticReport", "identifier"): "Placer (OBR-2) or filler (OBR-3) order number",
    ("DiagnosticReport", "result"): "The ECG that was analysed, and what was measured on it",
    ("ServiceRequest", "reason"): "The report that proposes the action",
    ("Device", "identifier"): "Of a model: its name, version and checksum",
}
TAG_NOTE = "`silent` finds what was analysed in silent mode, else left out"

# Parameters of the search itself, and of the answer.
COUNT, CURSOR, SORT, TOTAL, INCLUDE, REVINCLUDE = "_count", "_cursor", "_sort", "_total", "_include", "_revinclude"
SUMMARY, ELEMENTS, FORMAT, PRETTY = "_summary", "_elements", "_format", "_pretty"
OF_THE_ANSWER = frozenset({SUMMARY, ELEMENTS, FORMAT, PRETTY})
GENERAL = frozenset({COUNT, CURSOR, SORT, TOTAL, INCLUDE, REVINCLUDE, *OF_THE_ANSWER})


def parameters(type: str) -> Mapping[str, SearchParameter]:
    """Every parameter that a type can be searched by."""
    return {**EVERYWHERE, **SEARCH_PARAMETERS[type]}


def parameter(type: str, name: str) -> SearchParameter | None:
    """The parameter of a type, None when it has no such."""
    return EVERYWHERE.get(name) or SEARCH_PARAMETERS[type].get(name)
