"""Binaries, through the door into a real store."""

import base64
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.fhir.documents import (
    BINARY,
    DICOM,
    PATIENT,
    raw_binary,
    send,
)
from tests.interop.service import FHIR_JSON, Service, running
from tests.interop.valid import valid


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with running() as started:
        yield started


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=3000),
    kind=st.sampled_from(["application/octet-stream", "image/png", "text/html; charset=utf-8", "text/plain", "x/y+z"]),
)
def test_any_content_comes_back_byte_for_byte_in_its_type(shared: Service, content: bytes, kind: str) -> None:
    name = raw_binary(shared, content, kind)
    read = send(shared, "GET", f"Binary/{name}")
    assert (read.content, read.headers["content-type"], read.headers["etag"]) == (content, kind, 'W/"1"')
    assert read.headers["x-content-type-options"] == "nosniff"
    shown = kind in ("image/png", "text/plain")
    assert read.headers["content-disposition"].startswith("inline" if shown else "attachment")
    resource = send(shared, "GET", f"Binary/{name}", Accept=FHIR_JSON)
    valid("Binary", resource.content)
    assert resource.headers["content-type"] == FHIR_JSON
    assert base64.b64decode(resource.json().get("data", "")) == content


def test_a_binary_resource_is_taken_as_such_and_other_fhir_json_as_content(service: Service) -> None:
    name = send(service, "POST", "Binary", BINARY).json()["id"]
    assert send(service, "GET", f"Binary/{name}").content == DICOM
    other = raw_binary(service, orjson.dumps(PATIENT), FHIR_JSON)
    assert send(service, "GET", f"Binary/{other}").json() == PATIENT
    assert send(service, "GET", f"Binary/{other}?_format=json").json()["contentType"] == FHIR_JSON


@pytest.mark.parametrize(
    ("accept", "is_resource"),
    [
        ("*/*", False),
        ("application/dicom", False),
        ("image/png", False),
        (FHIR_JSON, True),
        ("application/json", True),
        (f"application/dicom, {FHIR_JSON};q=0.5", False),
        (f"application/dicom;q=0.5, {FHIR_JSON}", True),
        (f"{FHIR_JSON};q=0, */*", False),
    ],
)
def test_a_binary_is_a_resource_only_for_those_who_ask(shared: Service, accept: str, is_resource: bool) -> None:
    read = send(shared, "GET", f"Binary/{raw_binary(shared, DICOM)}", Accept=accept)
    assert (read.content == DICOM) is not is_resource
    assert ("json" in read.headers["content-type"]) is is_resource


def test_a_binary_has_versions_and_conditional_reads(service: Service) -> None:
    name = raw_binary(service, b"one", "text/plain")
    second = send(service, "PUT", f"Binary/{name}", b"two", Content_Type="text/plain", If_Match='W/"1"')
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert send(service, "GET", f"Binary/{name}").content == b"two"
    assert send(service, "GET", f"Binary/{name}/_history/1").content == b"one"
    assert send(service, "GET", f"Binary/{name}", If_None_Match='W/"2"').status_code == 304
    assert send(service, "DELETE", f"Binary/{name}").status_code == 204
    assert send(service, "GET", f"Binary/{name}").status_code == 410


@pytest.mark.parametrize(
    "kind", ["", "nonsense", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_content_without_a_type_that_says_what_it_is_is_415(service: Service, kind: str) -> None:
    assert send(service, "POST", "Binary", b"x", Content_Type=kind).status_code == 415


def test_a_type_that_no_header_can_carry_reads_as_octets(service: Service) -> None:
    for kind in ("text/héllo", "пример"):
        sent = {**BINARY, "contentType": kind}
        name = send(service, "POST", "Binary", sent).json()["id"]
        assert send(service, "GET", f"Binary/{name}").headers["content-type"] == "application/octet-stream"


def test_broken_json_is_no_binary(service: Service) -> None:
    assert send(service, "POST", "Binary", b"{").status_code == 400


@pytest.mark.parametrize("path", ["Binary", "Binary?_id=1", "Binary/_history", "Binary/1/_history"])
def test_binaries_are_not_searched_and_have_no_history(service: Service, path: str) -> None:
    assert send(service, "GET", path).status_code in (404, 405)
    entry = {"request": {"method": "GET", "url": path}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    (answer,) = send(service, "POST", "", batch).json()["entry"]
    assert answer["response"]["status"].startswith("405")
