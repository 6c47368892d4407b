"""The report as PDF, through the door."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from tests.fakes import NOW
from tests.interop.fhir.documents import (
    ECG,
    OTHER,
    PATIENT,
    document,
    got,
    matches,
    posted,
    report_of,
    send,
)
from tests.interop.service import FHIR_JSON, Service, observation, running
from tests.interop.valid import valid


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with running() as started:
        yield started


def pdf(service: Service, report: str, **headers: str) -> httpx.Response:
    return send(service, "GET", f"DiagnosticReport/{report}/$pdf", **headers)


def words(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/pdf"
    return " ".join(PdfReader(BytesIO(response.content)).pages[0].extract_text().split())


def test_a_report_is_a_page_with_its_conclusion_actions_and_model(service: Service) -> None:
    report = report_of(posted(service, document()))
    response = pdf(service, report)
    text, stored = words(response), got(service, f"DiagnosticReport/{report}")
    assert " ".join(stored["conclusion"].splitlines()[0].split()) in text
    assert "Age: 63 years; sex: female" in text
    assert "Heart rate" in text
    assert "PRELIMINARY" in text
    (device,) = [one for one in matches(service, "Device") if one["type"]["text"].startswith("ECG classification")]
    assert f"Model: {device['deviceName'][0]['name']}" in text
    for request in matches(service, f"ServiceRequest?reason=DiagnosticReport/{report}"):
        assert request["code"]["text"] in text
    assert response.headers["etag"] == 'W/"1"'
    assert pdf(service, report, If_None_Match='W/"1"').status_code == 304
    binary = pdf(service, report, Accept=FHIR_JSON)
    valid("Binary", binary.content)
    assert base64.b64decode(binary.json()["data"]) == response.content


def test_a_page_shows_an_ecg_that_came_as_an_observation(service: Service) -> None:
    send(service, "PUT", "Patient/1", PATIENT | {"id": "1"})
    report = report_of(posted(service, observation(ECG), "Observation"))
    assert "Age: 74 years; sex: female" in words(pdf(service, report))


def test_a_withdrawn_report_says_so_and_shows_the_ecg_that_it_was_made_of(service: Service) -> None:
    clock: Any = service.intake.clock
    first = posted(service, document())
    before, name = pdf(service, report_of(first)).content, first.json()["id"]
    clock.now = NOW + timedelta(minutes=5)
    second = send(service, "PUT", f"DocumentReference/{name}", document(OTHER, id=name))
    withdrawn = pdf(service, report_of(first))
    assert "WITHDRAWN - entered in error" in words(withdrawn)
    assert withdrawn.headers["etag"] == 'W/"2"'
    assert drawn(withdrawn.content) == drawn(before)
    assert drawn(pdf(service, report_of(second)).content) != drawn(before)


def drawn(content: bytes) -> list[bytes]:
    """The lines of the tracing."""
    stream: Any = PdfReader(BytesIO(content)).pages[0].get_contents()
    return [line for line in stream.get_data().splitlines() if line.count(b" l") > 100]


def test_an_over_read_report_is_a_page_of_its_version(service: Service) -> None:
    report = report_of(posted(service, document()))
    current = got(service, f"DiagnosticReport/{report}")
    read = current | {"status": "final", "resultsInterpreter": [{"reference": "Practitioner/7"}]}
    assert send(service, "PUT", f"DiagnosticReport/{report}", read).status_code == 200
    response = pdf(service, report)
    assert response.headers["etag"] == 'W/"2"'
    assert "FINAL - read by a clinician" in words(response)
    assert "version 2" in words(response)


def test_no_report_no_page(service: Service) -> None:
    assert pdf(service, "none").status_code == 404
    assert pdf(service, "no_id!").status_code == 404
    report = report_of(posted(service, document()))
    assert send(service, "POST", f"DiagnosticReport/{report}/$pdf").status_code == 405
    assert pdf(service, report, Accept="application/fhir+json; fhirVersion=3.0").status_code == 406
