"""The other side of the doors: what `send`, `convert` and the demonstration use."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import orjson

from inference.errors import InvalidContent, ServiceError
from inference.recording import Recording, Sex
from interop.hl7.message import parse
from interop.mllp.sender import DeliveryError, Sender
from interop.resources.codes import URN_IDENTIFIERS
from interop.resources.ecg_document import render_ecg
from interop.resources.identifiers import Identifier
from interop.resources.patients import latest_birth_date

TIMEOUT_SECONDS = 30.0
CHART = "chart-1"  # the id of the patient in an EHR
PATIENT_SYSTEM = "urn:oid:2.16.840.1.113883.19.5"  # HL7's arc for examples


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said."""

    accepted: bool
    text: str


def observation_to_send(recording: Recording, patient_id: str) -> bytes:
    """An Observation with a contained Patient that carries identifier, sex and, for a dated recording, age."""
    _, body = render_ecg(
        recording,
        id="ecg",
        subject={"reference": "#patient", "identifier": {"system": PATIENT_SYSTEM, "value": patient_id}},
        identifiers=(Identifier(f"urn:uuid:{uuid4()}", URN_IDENTIFIERS),),
        issued=recording.recorded_at or datetime.now(UTC),
    )
    document = orjson.loads(body.content)
    for assigned_by_the_server in ("id", "meta", "issued"):
        document.pop(assigned_by_the_server, None)
    return orjson.dumps({"resourceType": "Observation", "contained": [_patient(recording, patient_id)], **document})


def hook_call(recording: Recording, patient_id: str) -> bytes:
    """A patient-view call (CDS Hooks 2.0): the EHR opens the patient's chart, and the ECG is in the prefetch."""
    ecg = orjson.loads(observation_to_send(recording, patient_id))
    (patient,) = ecg.pop("contained")
    found = ecg | {"id": "ecg", "subject": {"reference": f"Patient/{CHART}"}}
    body = {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/example", "patientId": CHART},
        "prefetch": {
            "patient": patient | {"id": CHART},
            "ecgs": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": found}]},
        },
    }
    return orjson.dumps(body)


def post_observation(base: str, content: bytes) -> Answer:
    """Create an Observation on a FHIR server. Raises ServiceError when it cannot be reached."""
    headers = {"Content-Type": "application/fhir+json", "Prefer": "return=OperationOutcome"}
    try:
        response = httpx.post(
            f"{base.rstrip('/')}/Observation", content=content, headers=headers, timeout=TIMEOUT_SECONDS
        )
    except httpx.HTTPError as error:
        raise ServiceError(f"{type(error).__name__}: {error}") from error
    location = response.headers.get("Location", "")
    return Answer(response.is_success, f"{response.status_code} {response.reason_phrase} {location}\n{response.text}")


def send_message(address: str, content: bytes) -> Answer:
    """Send one HL7 v2 message and wait for its acknowledgement.

    Raises InvalidContent for an address that is not HOST:PORT, ServiceError when no acknowledgement comes.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidContent(f"{address!r} is not HOST:PORT")
    return asyncio.run(_exchange(host, int(port), content))


async def _exchange(host: str, port: int, content: bytes) -> Answer:
    sender = Sender(host, port, timeout_seconds=TIMEOUT_SECONDS)
    try:
        acknowledgement = await sender.send(content, parse(content).header.control_id)
    except DeliveryError as error:
        raise ServiceError(str(error)) from error
    finally:
        await sender.close()
    return Answer(
        acknowledgement.accepted, acknowledgement.content.decode(errors="replace").replace("\r", "\n").strip()
    )


def _patient(recording: Recording, patient_id: str) -> dict[str, object]:
    patient: dict[str, object] = {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [{"system": PATIENT_SYSTEM, "value": patient_id}],
    }
    if recording.sex is not Sex.UNKNOWN:
        patient["gender"] = recording.sex.value
    if recording.age is not None and recording.recorded_at is not None:
        patient["birthDate"] = latest_birth_date(recording.age, recording.recorded_at).isoformat()
    return patient
