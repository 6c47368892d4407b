"""What an EHR sends about a visit: a patient, its ECG, both in one transaction or message, and what else there is."""

from functools import cache
from typing import Any
from uuid import uuid4

import orjson

from tests.e2e import doors

SYSTEM = "urn:oid:2.16.840.1.113883.19.5"
READER = {"reference": "Practitioner/7"}
JSON_PATCH = "application/json-patch+json"


def patient(**given: Any) -> dict[str, Any]:
    """A Patient with an identifier of its own."""
    identifier = [{"system": SYSTEM, "value": uuid4().hex}]
    return {"resourceType": "Patient", "identifier": identifier, "gender": "male", "birthDate": "1952-03-02"} | given


@cache
def _ecg() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(doors.observation())
    del found["contained"]
    return found


def ecg(subject: str, **given: Any) -> dict[str, Any]:
    """An ECG, the same signal each time, with an identifier of its own, that refers to its patient."""
    identifier = [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"}]
    return _ecg() | {"identifier": identifier, "subject": {"reference": subject}} | given


def visit() -> dict[str, Any]:
    """A transaction: a patient and its ECG, which refers to it by the name in the Bundle."""
    name = f"urn:uuid:{uuid4()}"
    entry = [
        {"fullUrl": name, "resource": patient(), "request": {"method": "POST", "url": "Patient"}},
        {
            "fullUrl": f"urn:uuid:{uuid4()}",
            "resource": ecg(name),
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entry}


def message() -> dict[str, Any]:
    """The same as a message."""
    header = {"resourceType": "MessageHeader", "eventUri": "urn:x:ecg", "source": {"endpoint": "urn:x:cart-3"}}
    sent = [{"fullUrl": one["fullUrl"], "resource": one["resource"]} for one in visit()["entry"]]
    entry = [{"fullUrl": f"urn:uuid:{uuid4()}", "resource": header}, *sent]
    return {"resourceType": "Bundle", "type": "message", "entry": entry}


def others(subject: str) -> list[dict[str, Any]]:
    """One of each other type that clients create. subject: of those that have one."""
    patient = {"reference": subject}
    return [
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "weight"},
            "subject": patient,
            "valueQuantity": {"value": 71.5, "unit": "kg"},
        },
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "code": {"text": "ECG"},
            "subject": patient,
            "occurrencePeriod": {"start": "2026-03-02", "end": "2026-03-03"},
        },
        {
            "resourceType": "Device",
            "status": "active",
            "deviceName": [{"name": "Cart 3", "type": "user-friendly-name"}],
        },
        {
            "resourceType": "Provenance",
            "target": [patient],
            "recorded": "2026-03-02T09:00:00Z",
            "agent": [{"who": READER}],
        },
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "subject": patient,
            "content": [{"attachment": {"contentType": "text/plain", "data": "RUNH"}}],
        },
        {"resourceType": "Binary", "contentType": "text/plain", "data": "RUNH"},
        {"resourceType": "Task", "status": "requested", "intent": "order", "for": patient},
    ]
