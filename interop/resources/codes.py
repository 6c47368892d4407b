"""Code systems and codes of the resources that go in and out, as FHIR R4 writes them."""

from typing import Any

LOINC = "http://loinc.org"
URIS = "urn:ietf:rfc3986"
# Of an identifier that is a URI (FHIR R4, identifier-registry.html).
URN_IDENTIFIERS = "urn:ietf:rfc:3986"
UCUM = "http://unitsofmeasure.org"
MDC = "urn:iso:std:iso:11073:10101"
# The same nomenclature by its OID, as HL7's own example writes it.
MDC_SYSTEMS = (MDC, "urn:oid:2.16.840.1.113883.6.24")

V2_DIAGNOSTIC_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
V2_IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
PARTICIPANT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
DATA_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

# Our own names. A URN stays the same wherever the service runs; docs/codes.md lists them.
OWN_TAGS = "urn:ecg-interop:codesystem:tag"
OWN_ERRORS = "urn:ecg-interop:codesystem:error"
OWN_SUPERCLASSES = "urn:ecg-interop:codesystem:superclass"
# A checksum of all constants that shape the model's input.
OWN_PREPROCESSING_IDENTIFIERS = "urn:ecg-interop:identifier:preprocessing"
OWN_DEVICE_IDENTIFIERS = "urn:ecg-interop:identifier:device"
OWN_MODEL_STATUS_EXTENSION = "urn:ecg-interop:extension:model-status"
OWN_MODEL_WAIVER_EXTENSION = "urn:ecg-interop:extension:model-waiver"
OWN_DECIDED_BY_EXTENSION = "urn:ecg-interop:extension:decided-by"
OWN_OVERREAD_REASON_EXTENSION = "urn:ecg-interop:extension:overread-reason"
# meta.source of everything that this service makes.
OWN_SOURCE = "urn:ecg-interop:service"
OWN_DEVICE_EXTENSION = "urn:ecg-interop:extension:analysing-device"
SILENT = "silent"

Json = dict[str, Any]

# A Reference to a patient whom nobody named: valid wherever R4 demands a subject.
NOT_IDENTIFIED: Json = {
    "extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}],
    "display": "not identified",
}

EKG_STUDY: Json = {"system": LOINC, "code": "11524-6", "display": "EKG study"}
# The two spaces are in the official display.
ELECTROCARDIAC: Json = {
    "system": V2_DIAGNOSTIC_SECTION,
    "code": "EC",
    "display": "Electrocardiac (e.g., EKG,  EEC, Holter)",
}
MDC_ECG: Json = {"system": MDC, "code": "131328", "display": "MDC_ECG_ELEC_POTL"}

# What an Observation that is a whole ECG may be called. LP6244-0 is a LOINC part that the German profile uses.
ECG_CODES = frozenset(
    {(LOINC, "11524-6"), (LOINC, "34534-8"), (LOINC, "LP6244-0"), *((system, "131328") for system in MDC_SYSTEMS)}
)


def concept(*codings: Json, text: str | None = None) -> Json:
    """A CodeableConcept."""
    return ({"coding": list(codings)} if codings else {}) | ({"text": text} if text else {})


def millivolts(value: float) -> Json:
    """A Quantity in mV."""
    return quantity(value, "mV", "mV")


def quantity(value: float, unit: str, code: str) -> Json:
    """A Quantity with a UCUM unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


PROCEDURE = concept({"system": OBSERVATION_CATEGORY, "code": "procedure", "display": "Procedure"})
