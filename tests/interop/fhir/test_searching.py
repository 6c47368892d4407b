"""Searches through the door, on a real store: what FHIR R4 search.html says that they find."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.interop.client import BASE
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running
from tests.interop.valid import valid

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"

PATIENTS: dict[str, dict[str, Any]] = {
    "anna": {
        "identifier": [{"system": "urn:h", "value": "4711"}, {"system": "urn:i", "value": "a,b|c"}],
        "name": [{"family": "M\u00fcller", "given": ["Anna", "Maria"]}],
        "gender": "female",
        "birthDate": "1952-03-02",
        "active": True,
        "telecom": [{"system": "phone", "value": "0123"}, {"system": "email", "value": "anna@example.org"}],
        "address": [{"city": "Z\u00fcrich", "postalCode": "8001"}],
    },
    "bert": {
        "identifier": [{"system": "urn:h", "value": "4712"}],
        "name": [{"family": "Mulligan", "given": ["Bert"]}, {"family": "van  Dyke"}],
        "gender": "male",
        "birthDate": "1960-07",
    },
    "carl": {
        "identifier": [{"value": "4711"}],
        "name": [{"family": "\u00c5berg"}],
        "gender": "male",
        "birthDate": "1960",
    },
    "none": {"name": [{"text": "Nobody"}]},
}


def measured(subject: dict[str, Any], value: float, unit: str, code: str, at: str, **more: Any) -> dict[str, Any]:
    return {
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": subject,
        "effectiveDateTime": at,
        "valueQuantity": {"value": value, "unit": unit, "code": unit, "system": UCUM},
        **more,
    }


ANNA, BERT = {"reference": "Patient/anna"}, {"reference": "Patient/bert"}
OBSERVATIONS: dict[str, dict[str, Any]] = {
    "rate1": measured(ANNA, 72, "/min", "8867-4", "2026-03-02T09:20:30.500Z"),
    "rate2": measured(BERT, 72.4, "/min", "8867-4", "2026-03-02"),
    "rate3": measured(ANNA, 100.5, "/min", "8867-4", "2026-03"),
    "qrs": measured(BERT, 92, "ms", "qrs-width", "2026-04-01T00:30:00+02:00", status="amended"),
    "named": measured({"identifier": {"system": "urn:h", "value": "4711"}}, 5.35, "mV", "x", "2025"),
    "other": measured({"reference": "https://ehr.example/fhir/Patient/anna"}, -1, "mV", "x", "2024-02-29"),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The patients and observations above, and an ECG of anna."""
    with running() as started:
        for kind, stock in (("Patient", PATIENTS), ("Observation", OBSERVATIONS)):
            for name, content in stock.items():
                body = orjson.dumps({"resourceType": kind, "id": name, **content})
                response = started.client.request(
                    "PUT", f"/fhir/{kind}/{name}", content=body, headers={"Content-Type": FHIR_JSON}
                )
                assert response.status_code == 201, response.text
        body = observation(real_ecg(), identifier="ECG-1", patient="Patient/anna")
        assert started.client.post("/fhir/Observation", content=body, headers={"Content-Type": FHIR_JSON}).is_success
        yield started


def searched(service: Service, query: str, **headers: str) -> Any:
    response = service.client.get(f"/fhir/{query}", headers=headers)
    assert response.status_code == 200, response.text
    valid("Bundle", response.content)
    return response.json()


def ids(bundle: Any, mode: str = "match") -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("identifier=urn:h|4711", "anna"),
        ("identifier=4711", "anna carl"),
        ("identifier=|4711", "carl"),
        ("identifier=urn:h|", "anna bert"),
        ("identifier=urn:h|4711,urn:h|4712", "anna bert"),
        ("identifier=urn:h|4711&identifier=urn:h|4712", ""),
        ("identifier=urn:h|4711&identifier=urn:i|", "anna"),
        (r"identifier=urn:i|a\,b\|c", "anna"),
        ("identifier=urn:i|a,b|c", ""),
        ("identifier:not=urn:h|4711", "bert carl none"),
        ("gender:not=female,other", "bert carl none"),
        ("gender:not=male&gender:missing=false", "anna"),
        ("gender:missing=true", "none"),
        ("identifier:missing=false", "anna bert carl"),
        ("birthdate:missing=true", "none"),
        ("_tag:missing=true&gender=female", "anna"),
        ("_tag:missing=false", ""),
        ("active=true", "anna"),
        ("phone=0123", "anna"),
        ("email=0123", ""),
        ("telecom=anna@example.org", "anna"),
        ("_id=anna,carl,nobody", "anna carl"),
        ("_id:not=anna", "bert carl none"),
        ("family=mul", "anna bert"),
        ("family=M\u00dcLLER", "anna"),
        ("family:exact=M\u00fcller", "anna"),
        ("family:exact=Muller", ""),
        ("family:exact=M\u00fcl", ""),
        ("family=van dyke", "bert"),
        ("family=aberg,dyke", "carl"),
        ("family=llig", ""),
        ("name=maria", "anna"),
        ("name=nobody", "none"),
        ("given=mar&family=mu", "anna"),
        ("address=zur", "anna"),
        ("address-postalcode=80", "anna"),
        ("birthdate=1960", "bert carl"),
        ("birthdate=1960-07", "bert"),
        ("birthdate=ne1960-07", "anna carl"),
        ("birthdate=lt1960", "anna"),
        ("birthdate=gt1960-06", "bert carl"),
        ("birthdate=sa1960-06", "bert"),
        ("birthdate=ge1950&birthdate=le1955", "anna"),
        ("birthdate=1952-03-02,1960-07", "anna bert"),
        ("_has:Observation:patient:code=qrs-width", "bert"),
        ("_has:Observation:patient:code=8867-4", "anna bert"),
        ("_has:Observation:patient:value-quantity=gt100", "anna"),
        ("_has:Observation:patient:status=amended&_has:Observation:subject:code=8867-4", "bert"),
        ("_has:Observation:patient:_lastUpdated=gt2020", "anna bert"),
        ("_has:Observation:patient:_lastUpdated=lt2020", ""),
        ("_has:Observation:patient:code:not=8867-4", "anna bert"),
        ("_lastUpdated=gt2020&_id=anna", "anna"),
        ("_lastUpdated=lt2020", ""),
        ("_sort=family", "carl anna bert none"),
        ("_sort=-birthdate", "bert carl anna none"),
        ("_sort=birthdate,-_id", "anna carl bert none"),
        ("_sort=gender,-family", "anna bert carl none"),
        ("_sort=_id", "anna bert carl none"),
    ],
)
def test_patients_are_found(service: Service, query: str, expected: str) -> None:
    found = searched(service, f"Patient?{query}")
    given = ids(found)
    assert (given if "_sort" in query else sorted(given)) == expected.split()
    assert found["total"] == len(given)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient=anna", "rate1 rate3"),
        ("subject=Patient/bert", "qrs rate2"),
        ("subject=bert", "qrs rate2"),
        ("subject:Patient=bert", "qrs rate2"),
        ("subject:Device=bert", ""),
        ("patient=Device/bert", ""),
        (f"subject={BASE}/fhir/Patient/bert", "qrs rate2"),
        ("subject=https://ehr.example/fhir/Patient/anna", "other"),
        ("subject=Patient/anna/_history/7", "rate1 rate3"),
        ("patient:identifier=urn:h|4711", "named"),
        ("patient.identifier=urn:h|4711", "named rate1 rate3"),
        ("subject.identifier=4711", "named rate1 rate3"),
        ("subject:missing=true", ""),
        ("patient:missing=false", "named other qrs rate1 rate2 rate3"),
        ("subject:Patient.family=mull", "qrs rate1 rate2 rate3"),
        ("patient.gender:not=female", "qrs rate2"),
        ("patient.birthdate=lt1960", "rate1 rate3"),
        ("subject._lastUpdated=gt2020", "qrs rate1 rate2 rate3"),
        ("subject._id=bert", "qrs rate2"),
        ("patient.family=nobody", ""),
        (f"code={LOINC}|8867-4", "rate1 rate2 rate3"),
        ("code=8867-4,qrs-width&status:not=amended", "rate1 rate2 rate3"),
        ("date=2026-03-02", "rate1 rate2"),
        ("date=2026-03", "qrs rate1 rate2 rate3"),
        ("date=2026-03-02T09:20", "rate1"),
        ("date=2026-03-02T09:20:30", "rate1"),
        ("date=2026-03-02T09:20:30.5Z", "rate1"),
        ("date=2026-03-02T10:20:30%2B01:00", "rate1"),
        ("date=ge2026-03-31", "qrs"),
        ("date=gt2026-03-02", "qrs rate3"),
        ("date=eb2026", "named other"),
        ("date=2024-02", "other"),
        ("value-quantity=72", "rate1 rate2"),
        ("value-quantity=72.0", "rate1"),
        ("value-quantity=100", ""),
        ("value-quantity=101", "rate3"),
        ("value-quantity=5.4", "named"),
        ("value-quantity=5.3", ""),
        ("value-quantity=ne72||/min", "rate3"),
        (f"value-quantity=lt0|{UCUM}|mV", "other"),
        ("value-quantity=gt72||/min", "rate2 rate3"),
        ("value-quantity=le72||/min", "rate1"),
        ("value-quantity=ap90", "qrs"),
        ("value-quantity=ap90||/min", ""),
        ("value-quantity=-1,92", "other qrs"),
        ("_sort=value-quantity", "other named rate1 rate2 qrs rate3"),
        ("_sort=-date", "qrs rate1 rate2 rate3 named other"),
        ("_sort=date", "other named rate3 rate2 rate1 qrs"),
        ("_sort=status,-value-quantity", "qrs rate3 rate2 rate1 named other"),
    ],
)
def test_observations_are_found(service: Service, query: str, expected: str) -> None:
    found = ids(searched(service, f"Observation?{query}&_id=rate1,rate2,rate3,qrs,named,other"))
    assert (found if "_sort" in query else sorted(found)) == expected.split()


def test_an_ecg_and_its_results_lead_to_each_other(service: Service) -> None:
    (ecg,) = ids(searched(service, "Observation?identifier=ECG-1"))
    (report,) = ids(searched(service, f"DiagnosticReport?result.identifier=ECG-1&patient.family=mull&result={ecg}"))
    found = searched(
        service, f"DiagnosticReport?_id={report}&_include=DiagnosticReport:patient&_revinclude=Provenance:target"
    )
    included = {entry["fullUrl"].removeprefix(f"{BASE}/fhir/") for entry in found["entry"][1:]}
    assert "Patient/anna" in included
    assert {name.partition("/")[0] for name in included} == {"Patient", "Provenance"}
    assert found["total"] == 1


@pytest.mark.parametrize(
    ("query", "included"),
    [
        ("Observation?_id=rate1,rate3,named,other&_include=Observation:subject", ["anna"]),
        ("Observation?_id=rate1,rate2&_include=Observation:subject:Patient", ["anna", "bert"]),
        ("Observation?_id=rate1&_include=Observation:subject:Device", []),
        ("Observation?_id=rate1&_include=Observation:*", ["anna"]),
        ("Patient?_id=bert&_revinclude=Observation:patient", ["qrs", "rate2"]),
        ("Patient?_id=carl&_revinclude=Observation:patient", []),
    ],
)
def test_what_matches_refer_to_is_included_once(service: Service, query: str, included: list[str]) -> None:
    assert sorted(ids(searched(service, query), "include")) == included


@pytest.mark.parametrize(
    "query",
    [
        "Patient?_count=1",
        "Patient?_count=3&_sort=-birthdate",
        "Patient?_count=1&_sort=gender",
        "Observation?_count=2&date=ap2026",
    ],
)
def test_pages_hold_every_match_once_in_order(service: Service, query: str) -> None:
    whole = ids(searched(service, query.replace("_count=", "_count=20")))
    path, seen = query, []
    while path:
        found = searched(service, path)
        assert found["total"] == len(whole)
        seen += ids(found)
        links = {link["relation"]: link["url"] for link in found["link"]}
        path = links.get("next", "").removeprefix(f"{BASE}/fhir/")
    assert seen == whole


@pytest.mark.parametrize(("query", "total"), [("_summary=count", 4), ("_count=0", 4), ("_count=0&gender=male", 2)])
def test_a_count_is_the_total_alone(service: Service, query: str, total: int) -> None:
    found = searched(service, f"Patient?{query}")
    assert (found["total"], found.get("entry"), len(found["link"])) == (total, None, 1)


def test_a_total_can_be_left_uncounted(service: Service) -> None:
    assert "total" not in searched(service, "Patient?_total=none")
    assert searched(service, "Patient?_total=accurate&_count=1")["total"] == 4


def test_an_unknown_parameter_is_told_or_refused_as_the_client_prefers(service: Service) -> None:
    lenient = searched(service, "Patient?gender=female&colour=red")
    assert ids(lenient) == ["anna"]
    assert "colour" in lenient["entry"][1]["resource"]["issue"][0]["details"]["text"]
    strict = service.client.get("/fhir/Patient?colour=red", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400
    assert "colour" in strict.text


@pytest.mark.parametrize(
    "query",
    [
        "birthdate=yesterday", "birthdate:not=1960", "gender:text=f", "family=%20", "_count=x", "_total=x",
        "_has:Observation:patient=1", "organization.name=x", "_cursor=abc", "_cursor=1.abc", "identifier=|",
        "active:missing=x", "general-practitioner:Patient=1", "family:contains=x",
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_400(service: Service, query: str) -> None:
    response = service.client.get(f"/fhir/Patient?{query}")
    assert response.status_code == 400, response.text
    valid("OperationOutcome", response.content)


def test_a_leap_second_is_stored_and_found(service: Service) -> None:
    body = orjson.dumps({"resourceType": "Patient", "id": "leap", "deceasedDateTime": "2016-12-31T23:59:60Z"})
    headers = {"Content-Type": FHIR_JSON}
    response = service.client.request("PUT", "/fhir/Patient/leap", content=body, headers=headers)
    assert response.status_code == 201, response.text
    assert ids(searched(service, "Patient?death-date=2017-01-01T00:00:00Z")) == ["leap"]
    assert service.client.request("DELETE", "/fhir/Patient/leap").is_success
