"""Two FHIR clients that the project did not write, through all that they do: fhirclient and fhirpy."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.device import Device
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.fhirreference import FHIRReference
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.server import FHIRNotFoundException, FHIRServer
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound
from fhirpy.lib import SyncFHIRResource

from tests.e2e.conftest import Service
from tests.e2e.visit import JSON_PATCH, READER, SYSTEM, ecg, patient, visit


@pytest.fixture
def server(service: Service) -> Iterator[FHIRServer]:
    """fhirclient, after it has read the CapabilityStatement."""
    client = FHIRClient(settings={"app_id": "test", "api_base": f"{service.url}/fhir"})
    assert client.prepare()
    yield client.server
    client.server.session.close()


@pytest.fixture
def admitted(server: FHIRServer) -> str:
    """`Patient/id` of a patient that fhirclient has created."""
    return f"Patient/{Patient(patient()).create(server)['id']}"


def test_fhirclient_reads_what_the_service_can_do(server: FHIRServer) -> None:
    rest = server.capabilityStatement.rest[0]
    assert (server.capabilityStatement.fhirVersion, server.ready) == ("4.0.1", True)
    assert {"Patient", "Observation", "DiagnosticReport"} <= {resource.type for resource in rest.resource}


def test_fhirclient_sends_an_ecg_and_finds_its_report_and_proposals(server: FHIRServer, admitted: str) -> None:
    made = Observation(Observation(ecg(admitted)).create(server))
    (report,) = DiagnosticReport.where({"result": f"Observation/{made.id}"}).perform_resources_iter(server)
    assert (report.status, report.subject.reference) == ("preliminary", admitted)
    assert "infarction" in report.conclusion
    proposals = list(ServiceRequest.where({"subject": admitted}).perform_resources_iter(server))
    assert {(one.intent, one.status) for one in proposals} == {("proposal", "draft")}
    model = Device.read(proposals[0].requester.reference.removeprefix("Device/"), server)
    assert model.deviceName[0].name in report.conclusion


def test_fhirclient_pages_through_the_results(server: FHIRServer, admitted: str) -> None:
    Observation(ecg(admitted)).create(server)
    whole = list(Observation.where({"subject": admitted}).perform_resources_iter(server))
    pages = list(Observation.where({"subject": admitted, "_count": "3"}).perform_iter(server))
    assert {len(page.entry) for page in pages[:-1]} == {3}
    assert [entry.resource.id for page in pages for entry in page.entry] == [one.id for one in whole]
    assert {page.total for page in pages} == {len(whole)}


def test_fhirclient_stores_a_patient_and_an_ecg_in_a_transaction(server: FHIRServer) -> None:
    answered = Bundle(Bundle(visit()).create(server))
    assert [entry.response.status for entry in answered.entry] == ["201 Created", "201 Created"]
    new, made = (entry.fullUrl.removeprefix(server.base_uri) for entry in answered.entry)
    assert Observation.read_from(made, server).subject.reference == new
    (report,) = DiagnosticReport.where({"result": made}).perform_resources_iter(server)
    assert report.subject.reference == new


def test_fhirclient_confirms_a_report(server: FHIRServer, admitted: str) -> None:
    Observation(ecg(admitted)).create(server)
    (report,) = DiagnosticReport.where({"subject": admitted}).perform_resources_iter(server)
    report.status, report.resultsInterpreter = "final", [FHIRReference(READER)]
    assert report.update()["meta"]["versionId"] == "2"
    assert {one.status for one in ServiceRequest.where({"subject": admitted}).perform_resources_iter(server)} == {
        "active"
    }
    history = Bundle.read_from(f"DiagnosticReport/{report.id}/_history", server)
    assert [entry.resource.status for entry in history.entry] == ["final", "preliminary"]
    first = DiagnosticReport.read_from(f"DiagnosticReport/{report.id}/_history/1", server)
    assert first.resultsInterpreter is None


def test_fhirclient_updates_and_deletes_and_is_told_what_went_wrong(server: FHIRServer, admitted: str) -> None:
    found = Patient.read(admitted.removeprefix("Patient/"), server)
    found.gender = "female"
    assert found.update()["meta"]["versionId"] == "2"
    found.gender = "nobody"
    with pytest.raises(requests.HTTPError) as refused:
        found.update()
    assert answer(refused.value).json()["issue"][0]["expression"] == ["Patient.gender"]
    found.delete()
    with pytest.raises(requests.HTTPError) as gone:
        Patient.read(found.id, server)
    assert answer(gone.value).status_code == 410
    with pytest.raises(FHIRNotFoundException):
        Patient.read("none", server)


def answer(error: requests.HTTPError) -> requests.Response:
    assert error.response is not None
    return error.response


@pytest.fixture
def client(service: Service) -> SyncFHIRClient:
    """fhirpy."""
    return SyncFHIRClient(f"{service.url}/fhir")


def resource(client: SyncFHIRClient, content: dict[str, Any]) -> SyncFHIRResource:
    members = {name: value for name, value in content.items() if name != "resourceType"}
    made: SyncFHIRResource = client.resource(content["resourceType"], **members)
    return made


@pytest.fixture
def person(client: SyncFHIRClient) -> SyncFHIRResource:
    """A patient that fhirpy has created, with one ECG."""
    found = resource(client, patient()).save()
    resource(client, ecg(found.reference)).save()
    return found


def token(person: SyncFHIRResource) -> str:
    return f"{SYSTEM}|{person['identifier'][0]['value']}"


def test_fhirpy_pages_counts_sorts_and_follows_references(client: SyncFHIRClient, person: SyncFHIRResource) -> None:
    results = client.resources("Observation").search(subject=person)
    found = results.limit(3).fetch_all()
    assert len(found) == len({one.id for one in found}) == results.count() > 3
    dates = [one.effectiveDateTime for one in results.sort("-date").fetch_all()]
    assert dates == sorted(dates, reverse=True)
    chained = client.resources("Observation").search(subject__Patient__identifier=token(person))
    assert {one.id for one in chained.fetch_all()} == {one.id for one in found}
    (back,) = client.resources("Patient").has("Observation", "subject", code="11524-6").search(_id=person.id).fetch()
    assert back.id == person.id
    assert "component" not in results.search(code="11524-6").elements("status").get()


def test_fhirpy_gets_a_report_with_what_it_rests_on(client: SyncFHIRClient, person: SyncFHIRResource) -> None:
    reports = client.resources("DiagnosticReport").search(subject=person)
    bundle = reports.include("DiagnosticReport", "result").revinclude("ServiceRequest", "reason").fetch_raw()
    kinds = [(entry.search.mode, entry.resource.resource_type) for entry in bundle.entry]
    assert kinds.count(("match", "DiagnosticReport")) == 1
    assert {("include", "Observation"), ("include", "ServiceRequest")} <= set(kinds)
    report = reports.get()
    assert report.subject.to_resource().id == person.id
    assert [one.to_resource().resource_type for one in report.result] == ["Observation"] * len(report.result)


def test_fhirpy_confirms_a_report(client: SyncFHIRClient, person: SyncFHIRResource) -> None:
    report = client.resources("DiagnosticReport").search(subject=person).get()
    report["status"], report["resultsInterpreter"] = "final", [READER]
    assert report.save().meta.versionId == "2"
    proposals = client.resources("ServiceRequest").search(reason=report).fetch_all()
    assert {one.status for one in proposals} == {"active"}
    report["conclusion"] = "Something else."
    with pytest.raises(OperationOutcome) as refused:  # a final report is amended, or corrected
        report.save()
    assert "DiagnosticReport.status" in str(refused.value)


def test_fhirpy_changes_on_conditions(client: SyncFHIRClient, person: SyncFHIRResource) -> None:
    same = patient(identifier=person["identifier"], gender="female")
    updated, created = client.resources("Patient").search(identifier=token(person)).update(resource(client, same))
    assert (updated.id, updated.meta.versionId, created) == (person.id, "2", False)
    careful = SyncFHIRClient(client.url, extra_headers={"If-None-Exist": f"identifier={token(person)}"})
    assert resource(careful, same).save().id == person.id
    resource(client, same).save()
    with pytest.raises(MultipleResourcesFound):
        client.resources("Patient").search(identifier=token(person)).update(resource(client, same))


def test_fhirpy_patches_with_json_patch_and_is_told_that_its_own_format_is_not_taken(
    client: SyncFHIRClient, person: SyncFHIRResource
) -> None:
    with pytest.raises(OperationOutcome, match=re.escape(JSON_PATCH)):
        client.patch(person.reference, gender="female")
    patching = SyncFHIRClient(client.url, extra_headers={"Content-Type": JSON_PATCH})
    patch: Any = [{"op": "replace", "path": "/gender", "value": "female"}]
    assert patching.execute(person.reference, method="patch", data=patch)["gender"] == "female"


def test_fhirpy_stores_a_transaction_and_deletes(client: SyncFHIRClient, person: SyncFHIRResource) -> None:
    answered = resource(client, visit()).save()
    assert [entry.response.status for entry in answered["entry"]] == ["201 Created", "201 Created"]
    client.delete(person)
    with pytest.raises(ResourceNotFound, match="deleted"):
        client.get(person.reference)
