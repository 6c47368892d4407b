"""ECGs of an EHR, taken in: once, under the EHR's patient, and anew when they were corrected there."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import NOW
from tests.interop.cds_hooks.hooks import EHR, HOUR, call, cards, ecg
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running

IDENTIFIER = [{"system": "urn:oid:1.2.3", "value": "ECG-1"}]


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def statuses(service: Service) -> list[str]:
    reports = service.client.get("/fhir/DiagnosticReport").json()["entry"]
    return sorted(entry["resource"]["status"] for entry in reports)


def test_an_ecg_without_identifiers_is_known_by_where_it_stands(service: Service) -> None:
    cards(service, call("patient-view", ecg()))
    found = service.client.get(f"/fhir/Observation?identifier=urn:ietf:rfc:3986|{EHR}/Observation/o-1").json()
    assert found["total"] == 1
    cards(service, call("patient-view", ecg(id="o-2")))
    assert service.store.count("DiagnosticReport") == 2


def test_what_was_corrected_there_is_the_next_version_here_and_what_was_made_before_is_withdrawn(
    service: Service,
) -> None:
    (card,) = cards(service, call("patient-view", ecg()))
    corrected = ecg(NOW - HOUR)
    data = corrected["component"][0]["valueSampledData"]
    data["data"] = " ".join(str(int(value) + 3) for value in data["data"].split())
    (again,) = cards(service, call("patient-view", corrected))
    assert "60 minutes ago" in again["summary"]
    assert again["links"][0]["url"] != card["links"][0]["url"]
    assert statuses(service) == ["entered-in-error", "preliminary"]
    assert service.store.rows("SELECT max(version) FROM documents WHERE type = 'Observation' AND is_current") == [(2,)]
    for _ in range(2):  # from now on it is known
        assert cards(service, call("patient-view", corrected))[0]["links"] == again["links"]
    assert service.store.count("DiagnosticReport") == 2


def test_an_ecg_that_was_posted_before_is_found_by_its_own_identifier(service: Service) -> None:
    posted = service.client.post(
        "/fhir/Observation", content=observation(real_ecg()), headers={"Content-Type": FHIR_JSON}
    )
    assert posted.status_code == 201
    assert len(cards(service, call("patient-view", ecg(identifier=IDENTIFIER)))) == 1
    assert service.store.count("DiagnosticReport") == 1


def test_an_identifier_of_another_signal_is_told_as_a_card(service: Service) -> None:
    service.client.post("/fhir/Observation", content=observation(real_ecg()), headers={"Content-Type": FHIR_JSON})
    other = ecg(identifier=IDENTIFIER)
    data = other["component"][0]["valueSampledData"]
    data["data"] = " ".join(str(int(value) + 3) for value in data["data"].split())
    (card,) = cards(service, call("patient-view", other))
    assert card["indicator"] == "info"
    assert "another signal" in card["detail"]
    assert service.store.count("DiagnosticReport") == 1


def test_a_contained_patient_is_kept(service: Service) -> None:
    person = {"resourceType": "Patient", "id": "me", "birthDate": "1990-01-01", "gender": "female"}
    cards(service, call("patient-view", ecg(contained=[person], subject={"reference": "#me"})))
    assert service.store.rows("SELECT sex FROM analyses") == [("female",)]


def test_without_a_server_and_a_number_the_subject_stays_as_it_came(service: Service) -> None:
    body = call(prefetch={"patient": None, "ecgs": {"resourceType": "Bundle", "entry": [{"resource": ecg()}]}})
    del body["fhirServer"]
    for _ in range(2):
        assert len(cards(service, body)) == 1
    (entry,) = service.client.get("/fhir/DiagnosticReport").json()["entry"]
    assert entry["resource"]["subject"] == {"reference": "Patient/p-1"}


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "nonsense"},
        {"effectiveDateTime": "yesterday"},
        {"component": [{"code": {"text": "I"}, "valueSampledData": {"data": "1 2"}}]},
        {"subject": {"reference": "Patient/other"}},
        {"subject": {"reference": "https://elsewhere.example/Patient/xp-1"}},
        {"issued": 5},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_one_that_breaks_fhir_is_a_card_and_no_error(service: Service, changed: dict[str, Any]) -> None:
    (card,) = cards(service, call("patient-view", ecg(**changed)))
    assert card["indicator"] == "info"
    assert service.store.count("DiagnosticReport") == 0
