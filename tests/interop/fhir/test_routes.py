from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interop.fhir.parameters import INTERACTIONS
from tests.interop.service import FHIR_JSON, Service, running
from tests.interop.valid import valid


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running() as started:
        yield started


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "", 405, "POST"),
        ("PUT", "", 405, "POST"),
        ("GET", "/", 405, "POST"),
        ("POST", "/metadata", 405, "GET"),
        ("GET", "/metadata/x", 404, None),
        ("GET", "/Encounter/1", 404, None),
        ("POST", "/Encounter", 404, None),
        ("GET", "/observation", 404, None),
        ("POST", "/DiagnosticReport", 405, "GET, PUT, PATCH"),
        ("DELETE", "/DiagnosticReport/1", 405, "GET, PUT, PATCH"),
        ("PUT", "/Provenance/1", 405, "GET"),
        ("POST", "/Observation/1", 405, "GET, PUT, PATCH, DELETE"),
        ("POST", "/Observation/_history", 405, "GET"),
        ("PUT", "/Observation/1/_history/1", 405, "GET"),
        ("POST", "/Observation/", 404, None),
        ("GET", "/Observation/1/$nothing/x", 404, None),
        ("GET", "/Observation//", 404, None),
        ("HEAD", "/Encounter/1", 404, None),
    ],
)
def test_what_is_not_served_is_an_operation_outcome_with_the_methods_that_are(
    service: Service, method: str, path: str, status: int, allow: str | None
) -> None:
    response = service.client.request(method, f"/fhir{path}")
    assert response.status_code == status
    assert response.headers["content-type"] == FHIR_JSON
    assert response.headers.get("allow") == allow
    if method != "HEAD":
        valid("OperationOutcome", response.content)


def test_an_unknown_type_is_told_what_is_served(service: Service) -> None:
    text = service.client.get("/fhir/Encounter/1").json()["issue"][0]["details"]["text"]
    assert all(served in text for served in INTERACTIONS)


VALUES = {"date": "ge2026-01-01", "quantity": "gt5", "reference": "Patient/1"}


def test_every_promise_of_the_capability_statement_is_kept(service: Service) -> None:
    response = service.client.get("/fhir/metadata")
    assert response.headers["content-type"] == FHIR_JSON
    (rest,) = valid("CapabilityStatement", response.content).rest
    for resource in rest.resource:
        calls = {
            "create": ("POST", f"/fhir/{resource.type}", 415),  # routed: it asks for a body in FHIR JSON
            "update": ("PUT", f"/fhir/{resource.type}/none", 415),
            "patch": ("PATCH", f"/fhir/{resource.type}/none", 415),
            "delete": ("DELETE", f"/fhir/{resource.type}/none", 204),
            "history-instance": ("GET", f"/fhir/{resource.type}/none/_history", 404),
            "history-type": ("GET", f"/fhir/{resource.type}/_history", 200),
            "read": ("GET", f"/fhir/{resource.type}/none", 404),
            "vread": ("GET", f"/fhir/{resource.type}/none/_history/1", 404),
            "search-type": ("GET", f"/fhir/{resource.type}", 200),
        }
        for interaction in resource.interaction:
            method, path, status = calls[interaction.code]
            answer = service.client.request(method, path)
            assert answer.status_code == status
            if status == 404:
                assert answer.json()["issue"][0]["code"] == "not-found"
        for parameter in resource.searchParam or ():
            query = {parameter.name: VALUES.get(parameter.type, "x"), "_count": "1"}
            headers = {"Prefer": "handling=strict"}
            found = service.client.get(f"/fhir/{resource.type}", params=query, headers=headers)
            assert found.status_code == 200, parameter.name


def test_what_is_not_promised_is_not_routed(service: Service) -> None:
    (rest,) = service.client.get("/fhir/metadata").json()["rest"]
    for resource in rest["resource"]:
        if "create" not in [interaction["code"] for interaction in resource["interaction"]]:
            assert service.client.post(f"/fhir/{resource['type']}").status_code == 405


segments = st.sampled_from(
    ["Observation", "_history", "_search", "metadata", "1", "$op", "..", "%2e%2e", "%00", "é", ""]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    path=st.lists(segments, max_size=5).map("/".join),
    query=st.text(max_size=20),
)
def test_no_url_below_fhir_gives_anything_but_fhir(service: Service, method: str, path: str, query: str) -> None:
    response = service.client.request(method, f"/fhir/{path}", params={"q": query})
    if response.url.path.startswith("/fhir"):  # the client resolves dot segments itself
        assert response.status_code < 500
        assert response.status_code == 204 or response.headers["content-type"] == FHIR_JSON
