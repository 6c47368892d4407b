"""Which resource types are served, what can be done with each, and what it can be searched by.

The routes, the search and the CapabilityStatement are all made from these tables, so they cannot disagree. Parameter
types and definitions: FHIR R4, search parameter registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

DEFINITIONS = "http://hl7.org/fhir/SearchParameter"


class Kind(StrEnum):
    """FHIR's types of search parameters, as far as they are served."""

    TOKEN = "token"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter. definition: the last part of its canonical URL. target: the type that a bare id stands for.
    index: the name of the index rows it looks at, where that is not its own."""

    name: str
    kind: Kind
    definition: str
    documentation: str
    target: str | None = None
    index: str | None = None

    @property
    def row_name(self) -> str:
        """`audit.records.IndexRow.name` that it is matched with."""
        return self.index or self.name


class Interaction(StrEnum):
    """What can be done with a type (value set type-restful-interaction)."""

    CREATE = "create"
    READ = "read"
    VREAD = "vread"
    SEARCH = "search-type"


READING = (Interaction.READ, Interaction.VREAD, Interaction.SEARCH)

INTERACTIONS: Mapping[str, tuple[Interaction, ...]] = {
    "Observation": (Interaction.CREATE, *READING),
    "DiagnosticReport": READING,
    "ServiceRequest": READING,
    "Device": READING,
    "Provenance": READING,
}

_EVERYWHERE = (
    Parameter("_id", Kind.TOKEN, "Resource-id", "The id that this server gave the resource"),
    Parameter("_tag", Kind.TOKEN, "Resource-tag", "`silent` finds what was analysed in silent mode, else left out"),
)


def _token(name: str, definition: str, documentation: str) -> Parameter:
    return Parameter(name, Kind.TOKEN, definition, documentation)


def _subject(definition: str) -> tuple[Parameter, Parameter]:
    return (
        Parameter("subject", Kind.REFERENCE, definition, "The patient, as the sender referred to them", "Patient"),
        Parameter("patient", Kind.REFERENCE, "clinical-patient", "The same as subject", "Patient", index="subject"),
    )


PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    "Observation": (
        *_EVERYWHERE,
        _token("identifier", "clinical-identifier", "Business identifier that the sender gave"),
        *_subject("Observation-subject"),
        _token("code", "clinical-code", "LOINC 11524-6 for ECGs; the codes of measurements"),
        _token("status", "Observation-status", "As the sender stated it; preliminary for measurements"),
        Parameter(
            "derived-from", Kind.REFERENCE, "Observation-derived-from", "The ECG it was measured on", "Observation"
        ),
    ),
    "DiagnosticReport": (
        *_EVERYWHERE,
        _token("identifier", "clinical-identifier", "Placer (OBR-2) or filler (OBR-3) order number"),
        *_subject("DiagnosticReport-subject"),
        Parameter("result", Kind.REFERENCE, "DiagnosticReport-result", "The Observation analysed", "Observation"),
        Parameter("based-on", Kind.REFERENCE, "DiagnosticReport-based-on", "The order", "ServiceRequest"),
        _token("code", "clinical-code", "LOINC 11524-6"),
        _token("status", "DiagnosticReport-status", "preliminary or cancelled"),
        _token("conclusion", "DiagnosticReport-conclusion", "SNOMED CT code of a finding"),
    ),
    "ServiceRequest": (
        *_EVERYWHERE,
        *_subject("ServiceRequest-subject"),
        _token("code", "clinical-code", "SNOMED CT code of the action, where it has one"),
        _token("priority", "ServiceRequest-priority", "stat, urgent or routine"),
        _token("status", "ServiceRequest-status", "draft"),
        _token("intent", "ServiceRequest-intent", "proposal"),
    ),
    "Device": (*_EVERYWHERE, _token("identifier", "Device-identifier", "Name, version and checksum of the model")),
    "Provenance": (
        *_EVERYWHERE,
        Parameter("target", Kind.REFERENCE, "Provenance-target", "What was made", "DiagnosticReport"),
    ),
}

# Parameters of the search itself, and of the answer.
COUNT, CURSOR = "_count", "_cursor"
GENERAL = frozenset({COUNT, CURSOR, "_format", "_pretty"})


def parameter(type: str, name: str) -> Parameter | None:
    """The parameter of a type, None when it has no such."""
    return next((found for found in PARAMETERS[type] if found.name == name), None)
