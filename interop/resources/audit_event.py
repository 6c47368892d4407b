"""An entry of the audit trail -> FHIR AuditEvent (FHIR R4 AuditEvent, DICOM PS3.15 A.5).

Only `KINDS` and the entry itself decide about type, action and outcome, so an event stays the same when retention has
deleted its payload; what the payload told is then missing, and the event says so.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import orjson

from audit.records import AuditEvent
from inference.errors import InternalError
from interop.resources.codes import NOT_IDENTIFIED, Json
from interop.resources.times import instant

DCM = "http://dicom.nema.org/resources/ontology/DCM"
AUDIT_EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
RESTFUL_INTERACTION = "http://hl7.org/fhir/restful-interaction"
AUDIT_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
SECURITY_ROLE = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
SECURITY_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
# The codes are the values of `audit.records.AuditEvent`.
OWN_EVENTS = "urn:ecg-interop:codesystem:audit-event"

REST: Json = {"system": AUDIT_EVENT_TYPE, "code": "rest", "display": "RESTful Operation"}
CREATE: Json = {"system": RESTFUL_INTERACTION, "code": "create", "display": "create"}
UPDATE: Json = {"system": RESTFUL_INTERACTION, "code": "update", "display": "update"}
DELETE: Json = {"system": RESTFUL_INTERACTION, "code": "delete", "display": "delete"}
ACTIVITY: Json = {"system": DCM, "code": "110100", "display": "Application Activity"}
START: Json = {"system": DCM, "code": "110120", "display": "Application Start"}
CONFIGURATION: Json = {"system": DCM, "code": "110131", "display": "Software Configuration"}
IMPORT: Json = {"system": DCM, "code": "110107", "display": "Import"}
EXPORT: Json = {"system": DCM, "code": "110106", "display": "Export"}
APPLICATION: Json = {"system": DCM, "code": "110150", "display": "Application"}
SOURCE_ROLE: Json = {"system": DCM, "code": "110153", "display": "Source Role ID"}
HUMAN: Json = {"system": SECURITY_ROLE, "code": "humanuser", "display": "human user"}
APPLICATION_SERVER: Json = {"system": SECURITY_SOURCE_TYPE, "code": "4", "display": "Application Server"}
SYSTEM_OBJECT: Json = {"system": AUDIT_ENTITY_TYPE, "code": "2", "display": "System Object"}

# Of FHIR's audit-event-outcome. 12 is a system that is no longer there, and that writes no entries.
SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = "0", "4", "8"

PAYLOAD_GONE = "The payload of this entry was deleted by retention; the chain of hashes still covers it."
PAYLOAD_UNREADABLE = "The payload of this entry is no JSON object."

_OTHER_SPACE = re.compile(r"[^\S \t\r\n]")

# An inbox row (`inbox/12`) is none.
_REFERENCE = re.compile(r"(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}")


class Entry(Protocol):
    """An entry of the trail as it is stored. payload: None once retention has deleted it."""

    @property
    def event(self) -> str:
        """A value of `AuditEvent`."""

    @property
    def recorded_at(self) -> datetime:
        """Aware."""

    @property
    def subject(self) -> str:
        """What it is about: `Type/id` of a resource, or a name of ours."""

    @property
    def correlation_id(self) -> str:
        """Of the received item or the run of the service."""

    @property
    def payload(self) -> bytes | None:
        """A JSON object."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of entry reads. action: of FHIR's audit-event-action. asker: what asked for it, None where the
    service began it by itself. about_us: its subject is a name of ours and no resource."""

    type: Json
    action: str
    text: str
    outcome: str = SUCCESS
    subtypes: tuple[Json, ...] = ()
    asker: Json | None = field(default_factory=lambda: SOURCE_ROLE)
    about_us: bool = False


def _own(type: Json, action: str, text: str, *subtypes: Json, outcome: str = SUCCESS, about_us: bool = True) -> Kind:
    return Kind(type, action, text, outcome, subtypes, asker=None, about_us=about_us)


# An export reads what it sends, as in HL7's example audit-event-example-media; an import creates what it takes in.
KINDS: Mapping[AuditEvent, Kind] = {
    AuditEvent.ECG_ANALYSED: Kind(ACTIVITY, "E", "An ECG was analysed"),
    AuditEvent.ECG_UNINTERPRETABLE: Kind(ACTIVITY, "E", "An ECG could not be interpreted", MINOR_FAILURE),
    AuditEvent.ECG_WITHDRAWN: Kind(ACTIVITY, "U", "The results of an ECG were withdrawn"),
    AuditEvent.REPORT_OVERREAD: Kind(ACTIVITY, "U", "A clinician read a report", asker=HUMAN),
    AuditEvent.CARDS_SHOWN: Kind(REST, "R", "Results were shown to a user by CDS Hooks", asker=HUMAN),
    AuditEvent.CARD_FEEDBACK: Kind(REST, "U", "A user accepted or overrode a card", asker=HUMAN),
    AuditEvent.MESSAGE_FAILED: Kind(IMPORT, "C", "A received message could not be processed", MINOR_FAILURE),
    AuditEvent.MESSAGE_IGNORED: Kind(IMPORT, "C", "A received message had nothing to analyse"),
    AuditEvent.OBSERVATION_STORED: Kind(REST, "C", "An Observation was stored without analysis", subtypes=(CREATE,)),
    AuditEvent.RESOURCE_CREATED: Kind(REST, "C", "A resource was created", subtypes=(CREATE,)),
    AuditEvent.RESOURCE_UPDATED: Kind(REST, "U", "A resource was updated", subtypes=(UPDATE,)),
    AuditEvent.RESOURCE_DELETED: Kind(REST, "D", "A resource was deleted", subtypes=(DELETE,)),
    AuditEvent.SERVICE_STARTED: _own(ACTIVITY, "E", "The service started", START),
    AuditEvent.MODE_CHANGED: Kind(ACTIVITY, "U", "The mode was changed", subtypes=(CONFIGURATION,), about_us=True),
    AuditEvent.MODEL_ACTIVATED: _own(ACTIVITY, "U", "A model was activated", CONFIGURATION),
    AuditEvent.RULES_ACTIVATED: _own(ACTIVITY, "U", "Other rules were activated", CONFIGURATION),
    AuditEvent.RESULT_DELIVERED: _own(EXPORT, "R", "A result was delivered", about_us=False),
    AuditEvent.RESULT_DEAD: _own(
        EXPORT, "R", "A result could not be delivered", outcome=SERIOUS_FAILURE, about_us=False
    ),
    AuditEvent.RETENTION_APPLIED: _own(ACTIVITY, "D", "Contents were deleted by retention"),
    AuditEvent.CHAIN_STARTED: _own(ACTIVITY, "C", "A chain of the audit trail was started"),
}


def audit_event(entry: Entry, *, id: str, source: Json) -> Json:
    """The AuditEvent of one entry. source: a Reference to the Device of this software, which acts and keeps the trail.

    Raises InternalError for an event that this version does not know.
    """
    kind = _kind(entry.event)
    payload, remark = _payload(entry.payload)
    recorded = instant(entry.recorded_at)
    own_code = {"system": OWN_EVENTS, "code": str(entry.event), "display": kind.text}
    document: Json = {
        "resourceType": "AuditEvent",
        "id": id,
        "meta": {"versionId": "1", "lastUpdated": recorded},
        "type": kind.type,
        "subtype": [*kind.subtypes, own_code],
        "action": kind.action,
        "recorded": recorded,
        "outcome": kind.outcome,
        "outcomeDesc": _text(payload.get("error")),
        "agent": _agents(kind, source, payload),
        "source": {"observer": source, "type": [APPLICATION_SERVER]},
        "entity": list(_entities(entry, kind, payload, remark)),
    }
    return {name: value for name, value in document.items() if value}


def _kind(event: str) -> Kind:
    try:
        return KINDS[AuditEvent(event)]
    except ValueError as error:
        raise InternalError(f"the trail has an event that is not known here: {event[:64]!r}") from error


def _payload(content: bytes | None) -> tuple[Json, str]:
    """The payload, and what a reader must know about it."""
    if content is None:
        return {}, PAYLOAD_GONE
    try:
        payload = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}, PAYLOAD_UNREADABLE
    return (payload, "") if isinstance(payload, dict) else ({}, PAYLOAD_UNREADABLE)


def _agents(kind: Kind, source: Json, payload: Json) -> list[Json]:
    """Who asked for it, where that was not the service itself, and the service."""
    service: Json = {"type": {"coding": [APPLICATION]}, "who": source, "requestor": kind.asker is None}
    if kind.asker is None:
        return [service]
    return [{"type": {"coding": [kind.asker]}, **_asker(payload), "requestor": True}, service]


def _asker(payload: Json) -> Json:
    """A practitioner by reference or identifier (`system|value`), a sender by name, or nobody who is known."""
    who = payload.get("who")
    stated = who if isinstance(who, dict) else {}
    system, _, value = _text(stated.get("identifier")).rpartition("|")
    identifier = {"value": value.strip(), **({"system": system.strip()} if system.strip() else {})}
    known = {"reference": _text(stated.get("reference")), "identifier": identifier if value.strip() else None}
    reference = {name: found for name, found in known.items() if found}
    if sender := _text(payload.get("sender")):
        return {"name": sender}
    return {"who": reference or NOT_IDENTIFIED}


def _entities(entry: Entry, kind: Kind, payload: Json, remark: str) -> Iterator[Json]:
    """What the entry is about, with the payload as its details, then the ECG that the payload names."""
    details = {"correlation_id": entry.correlation_id, **dict(_flat(payload))}
    resource = None if kind.about_us else _resource(entry.subject)
    yield {
        **(resource or {"type": SYSTEM_OBJECT, "name": _text(entry.subject)}),
        **({"description": remark} if remark else {}),
        "detail": [{"type": name, "valueString": value} for name, value in details.items() if name and value],
    }
    ecg = _resource(_text(payload.get("observation")))
    if ecg and ecg["what"]["reference"] != entry.subject:
        yield ecg


def _resource(text: str) -> Json | None:
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    return {
        "what": {"reference": text},
        "type": {"system": RESOURCE_TYPES, "code": found["type"], "display": found["type"]},
    }


def _flat(payload: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every member: `model.version`. Lists stay JSON."""
    for name, value in payload.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield _text(f"{prefix}{name}"), _text(value)


def _text(value: object) -> str:
    """A value as a FHIR string, '' for null: it must hold more than white space, and no white space but these four."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return _OTHER_SPACE.sub(" ", text).strip()
