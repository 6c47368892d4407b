from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from actions.analysis import Mode
from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running
from tests.interop.valid import valid

PATIENTS = ("Patient/1", "Patient/2", "https://ehr.example/fhir/Patient/1", f"{BASE}/fhir/Patient/3")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Four ECGs of as many patients."""
    with running() as started:
        for number, patient in enumerate(PATIENTS):
            content = observation(real_ecg(), identifier=f"ECG-{number}", patient=patient)
            response = started.client.post("/fhir/Observation", content=content, headers={"Content-Type": FHIR_JSON})
            assert response.status_code == 201
        yield started


def found(service: Service, path: str, **headers: str) -> Any:
    response = service.client.get(f"/fhir/{path}", headers=headers)
    assert response.status_code == 200, response.text
    valid("Bundle", response.content)
    return response.json()


def matches(bundle: Any) -> list[Any]:
    return [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]


MADE_HERE = ("Observation", "DiagnosticReport", "ServiceRequest", "Device", "Provenance")


@pytest.mark.parametrize("type", MADE_HERE)
def test_every_type_is_found_read_and_read_by_version_and_is_valid_fhir(service: Service, type: str) -> None:
    listed = matches(found(service, f"{type}?_count=3"))
    assert listed
    for resource in listed:
        response = service.client.get(f"/fhir/{type}/{resource['id']}")
        assert response.json() == resource
        assert response.headers["etag"] == 'W/"1"'
        assert response.headers["last-modified"]
        valid(type, response.content)
        assert service.client.get(f"/fhir/{type}/{resource['id']}/_history/1").content == response.content


@pytest.mark.parametrize(
    "path",
    [
        "DiagnosticReport/nobody",
        "DiagnosticReport/not_an_id",
        f"DiagnosticReport/{'x' * 65}",
        "Observation/a/_history/1",
        "DiagnosticReport/%00",
    ],
)
def test_what_is_not_there_is_404(service: Service, path: str) -> None:
    response = service.client.get(f"/fhir/{path}")
    assert response.status_code == 404
    assert response.json()["issue"][0]["code"] == "not-found"


@pytest.mark.parametrize("version", ["2", "0", "x", "-1", "99999999999999999999"])
def test_a_version_that_is_not_there_is_404(service: Service, version: str) -> None:
    (report, *_) = matches(found(service, "DiagnosticReport"))
    assert service.client.get(f"/fhir/DiagnosticReport/{report['id']}/_history/{version}").status_code == 404


def test_an_unchanged_version_is_304(service: Service) -> None:
    (report, *_) = matches(found(service, "DiagnosticReport"))
    url = f"/fhir/DiagnosticReport/{report['id']}"
    modified = service.client.get(url).headers["last-modified"]
    for headers in ({"If-None-Match": 'W/"1"'}, {"If-None-Match": '"7", "1"'}, {"If-Modified-Since": modified}):
        response = service.client.get(url, headers=headers)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == 'W/"1"'
    for headers in ({"If-None-Match": 'W/"2"'}, {"If-Modified-Since": "nonsense"}):
        assert service.client.get(url, headers=headers).status_code == 200


def test_the_report_of_an_observation_is_found_by_its_result(service: Service) -> None:
    (ecg,) = matches(found(service, "Observation?identifier=urn:oid:1.2.3|ECG-1"))
    for value in (ecg["id"], f"Observation/{ecg['id']}", f"{BASE}/fhir/Observation/{ecg['id']}"):
        (report,) = matches(found(service, f"DiagnosticReport?result={value}"))
        assert report["subject"]["reference"] == "Patient/2"


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("subject=Patient/1", {"Patient/1"}),
        ("subject=1", {"Patient/1"}),
        ("patient=1", {"Patient/1"}),
        ("subject:Patient=1", {"Patient/1"}),
        ("subject=https://ehr.example/fhir/Patient/1", {"https://ehr.example/fhir/Patient/1"}),
        (f"subject={BASE}/fhir/Patient/3", {f"{BASE}/fhir/Patient/3"}),
        ("subject=Patient/1,Patient/2", {"Patient/1", "Patient/2"}),
        ("subject=Patient/1&subject=Patient/2", set()),
        ("subject=Patient/9", set()),
    ],
)
@pytest.mark.parametrize("type", ["DiagnosticReport", "ServiceRequest"])
def test_results_are_found_by_every_form_of_their_subject(
    service: Service, type: str, query: str, subjects: set[str]
) -> None:
    assert {resource["subject"]["reference"] for resource in matches(found(service, f"{type}?{query}"))} == subjects


def test_pages_hold_every_match_once_and_the_total(service: Service) -> None:
    path, seen = "/fhir/DiagnosticReport?_count=3", []
    while path:
        bundle = service.client.get(path).json()
        assert bundle["total"] == len(PATIENTS)
        seen += [resource["id"] for resource in matches(bundle)]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get("next", "").removeprefix(BASE)
    assert len(seen) == len(set(seen)) == len(PATIENTS)


def test_a_count_of_zero_gives_the_total_alone(service: Service) -> None:
    bundle = found(service, "DiagnosticReport?_count=0")
    assert (bundle["total"], matches(bundle)) == (len(PATIENTS), [])


def test_a_search_by_post_finds_the_same_and_nothing_leaks_into_the_address(service: Service) -> None:
    response = service.client.post("/fhir/DiagnosticReport/_search", data={"subject": "Patient/1"})
    assert [r["id"] for r in matches(response.json())] == [
        r["id"] for r in matches(found(service, "DiagnosticReport?subject=Patient/1"))
    ]


def test_a_search_posted_as_json_is_415(service: Service) -> None:
    response = service.client.post("/fhir/DiagnosticReport/_search", json={"subject": "Patient/1"})
    assert response.status_code == 415


@pytest.mark.parametrize("body", [b"\xff\xfe=%", b"&".join([b"subject=1"] * 200)])
def test_a_form_that_cannot_be_read_is_400(service: Service, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.client.post("/fhir/DiagnosticReport/_search", content=body, headers=headers).status_code == 400


def test_an_unknown_parameter_is_a_warning_or_by_preference_an_error(service: Service) -> None:
    bundle = found(service, "DiagnosticReport?birthdate=1961&subject=1")
    assert len(matches(bundle)) == 1
    assert bundle["entry"][-1]["search"]["mode"] == "outcome"
    strict = service.client.get("/fhir/DiagnosticReport?birthdate=1961", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400
    assert strict.json()["issue"][0]["expression"] == ["birthdate"]


def test_a_page_link_that_was_tampered_with_is_400(service: Service) -> None:
    assert service.client.get("/fhir/DiagnosticReport?_cursor=nonsense").status_code == 400


def test_silent_results_are_found_only_by_their_tag() -> None:
    with running(mode=Mode.SILENT) as service:
        content = observation(real_ecg())
        service.client.post("/fhir/Observation", content=content, headers={"Content-Type": FHIR_JSON})
        assert matches(found(service, "DiagnosticReport")) == []
        assert len(matches(found(service, "DiagnosticReport?_tag=silent"))) == 1
        assert matches(found(service, "DiagnosticReport?_tag=other")) == []


def test_the_tag_of_silent_results_finds_no_others(service: Service) -> None:
    assert matches(found(service, "DiagnosticReport?_tag=silent")) == []


def test_an_answer_can_be_asked_for_as_plain_json(service: Service) -> None:
    response: httpx.Response = service.client.get("/fhir/Device", headers={"Accept": "application/json"})
    assert response.headers["content-type"] == "application/json"
    assert urlsplit(response.json()["link"][0]["url"]).path == "/fhir/Device"
    assert Path(urlsplit(response.json()["entry"][0]["fullUrl"]).path).parent.name == "Device"
