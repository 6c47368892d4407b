"""Documents with ECG files, as senders post them."""

import base64
from typing import Any

import httpx
import numpy as np
import orjson

from tests.inference.formats.exchange_files import INSTANCE, dicom
from tests.interop.service import FHIR_JSON, Service, real_ecg
from tests.interop.valid import valid

ECG = real_ecg()
COUNTS = np.rint(ECG.signal / 0.0025).astype(np.int16)
DICOM = dicom(COUNTS)
OTHER = dicom((COUNTS // 2).astype(np.int16))
PATIENT = {"resourceType": "Patient", "gender": "female", "birthDate": "1952-03-02"}
KINDS = {"DICOM": "application/dicom", "aECG": "application/xml", "MUSE": "text/xml", "Philips": "application/xml"}
UID = f"urn:oid:{INSTANCE}"
ATTACHMENT = "DocumentReference.content[0].attachment"
JSON_PATCH = "application/json-patch+json"


def document(file: bytes = DICOM, kind: str | None = "application/dicom", **changed: Any) -> dict[str, Any]:
    """A DocumentReference with a file. changed: its members; None takes one away."""
    attachment = {"contentType": kind, "data": base64.b64encode(file).decode()}
    return referring({name: value for name, value in attachment.items() if value}, **changed)


def referring(attachment: dict[str, Any], **changed: Any) -> dict[str, Any]:
    whole = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": "Patient/1"},
        "content": [{"attachment": attachment}],
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


def send(service: Service, method: str, path: str, content: Any = None, **headers: str) -> httpx.Response:
    named = {"Content-Type": FHIR_JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
    body = content if content is None or isinstance(content, bytes) else orjson.dumps(content)
    return service.client.request(method, f"/fhir/{path}", content=body, headers=named)


def posted(service: Service, content: Any, path: str = "DocumentReference") -> httpx.Response:
    response = send(service, "POST", path, content)
    assert response.status_code == 201, response.text
    return response


def report_of(response: httpx.Response) -> str:
    link: str = response.headers["link"]
    assert 'rel="related"' in link
    return link.partition(">")[0].rpartition("/")[2]


def got(service: Service, path: str) -> Any:
    response = send(service, "GET", path)
    assert response.status_code == 200, response.text
    return response.json()


def matches(service: Service, path: str) -> list[Any]:
    return [entry["resource"] for entry in got(service, path).get("entry", [])]


def ecg_of(service: Service, name: str) -> Any:
    """The one ECG that was derived from a document."""
    (found,) = matches(service, f"Observation?derived-from=DocumentReference/{name}")
    return found


def without_meta(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}


def issue(response: httpx.Response, status: int) -> tuple[str | None, str]:
    """The element and the text of a refusal."""
    assert response.status_code == status, response.text
    valid("OperationOutcome", response.content)
    first = response.json()["issue"][0]
    return first.get("expression", [None])[0], first["details"]["text"]


def raw_binary(service: Service, content: bytes, kind: str = "application/dicom", **headers: str) -> str:
    response = send(service, "POST", "Binary", content, Content_Type=kind, **headers)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def transaction(*entries: tuple[str, str, Any], kind: str = "transaction") -> dict[str, Any]:
    """entries: fullUrl, type, resource."""
    found = [
        {"fullUrl": name, "resource": resource, "request": {"method": "POST", "url": type_}}
        for name, type_, resource in entries
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": found}


BINARY = {"resourceType": "Binary", "contentType": "application/dicom", "data": base64.b64encode(DICOM).decode()}
