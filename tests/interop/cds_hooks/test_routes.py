"""The door as an EHR uses it: real threads, a real store, a model that says what the test wants."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from audit.records import AuditEvent
from inference.errors import ModelUnavailable
from interop.cds_hooks.services import SERVICES
from interop.cds_hooks.wire import OVERRIDE_REASONS
from tests.fakes import NOW, make_prediction
from tests.interop.cds_hooks.hooks import EHR, HOUR, PATIENT, answered, bundle, call, cards, ecg
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running
from tests.interop.valid import valid


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def test_the_discovery_names_every_service_with_its_prefetch(service: Service) -> None:
    found = service.client.get("/cds-services").json()["services"]
    assert {one["id"]: one["hook"] for one in found} == {
        "ecg-patient-view": "patient-view",
        "ecg-order-sign": "order-sign",
        "ecg-order-select": "order-select",
        "ecg-encounter-start": "encounter-start",
    }
    for one in found:
        assert one["description"]
        assert one["prefetch"]["patient"] == "Patient/{{context.patientId}}"
        assert "{{context.patientId}}" in one["prefetch"]["ecgs"]


@pytest.mark.parametrize("hook", ["patient-view", "encounter-start"])
def test_an_unanalysed_ecg_in_the_prefetch_is_analysed_stored_and_told_of(service: Service, hook: str) -> None:
    (card,) = cards(service, call(hook, ecg(NOW - HOUR / 2)))
    assert card["indicator"] == "critical"
    assert card["summary"] == ("Activate cath lab? AI: Myocardial infarction 0.83; ECG 30 minutes ago, unconfirmed")
    assert "not confirmed by a clinician" in card["detail"]
    assert "fake\\-resnet" in card["detail"] or "fake-resnet" in card["detail"]
    (page, pdf) = card["links"]
    assert service.client.get(pdf["url"]).status_code == 200
    assert service.client.get(page["url"]).status_code == 200
    assert {one["code"] for one in card["overrideReasons"]} == set(OVERRIDE_REASONS)
    first = card["suggestions"][0]
    assert first["isRecommended"]
    order = first["actions"][0]["resource"]
    valid("ServiceRequest", orjson.dumps(order))
    assert order["subject"] == {"reference": "Patient/p-1"}
    assert order["priority"] == "stat"
    assert (hook == "encounter-start") is ("encounter" in order)
    assert service.store.count("DiagnosticReport") == 1
    assert service.store.events.count(AuditEvent.ECG_ANALYSED) == 1
    assert service.store.events.count(AuditEvent.CARDS_SHOWN) == 1
    assert service.metric('ecg_cds_cards_total{indicator="critical",service="ecg-' + hook + '"}') == 1


def test_age_and_sex_come_from_the_patient_of_the_prefetch_and_the_results_name_the_patient(service: Service) -> None:
    cards(service, call("patient-view", ecg()))
    (row,) = service.store.rows("SELECT age, sex, door, sender FROM analyses")
    assert row == (pytest.approx(74.2, abs=0.1), "male", "cds-hooks", EHR)
    (report,) = service.client.get("/fhir/DiagnosticReport").json()["entry"]
    assert report["resource"]["subject"] == {
        "type": "Patient",
        "reference": f"{EHR}/Patient/p-1",
        "identifier": PATIENT["identifier"][0],
    }


def test_the_same_ecg_is_analysed_once_and_a_corrected_one_again(service: Service) -> None:
    for _ in range(2):
        assert cards(service, call("patient-view", ecg()))
    assert service.store.count("DiagnosticReport") == 1
    corrected = ecg(NOW - HOUR / 4)
    assert "15 minutes ago" in cards(service, call("patient-view", corrected))[0]["summary"]
    assert service.store.count("DiagnosticReport") == 2


def test_an_ecg_that_came_by_another_door_is_found_by_the_patient_s_number_only(service: Service) -> None:
    number = PATIENT["identifier"][0]
    content = orjson.loads(observation(real_ecg())) | {"subject": {"identifier": number}}
    response = service.client.post("/fhir/Observation", json=content, headers={"Content-Type": FHIR_JSON})
    assert response.status_code == 201
    (card,) = cards(service, call("patient-view"))
    assert card["indicator"] == "critical"
    stranger = PATIENT | {"identifier": [{"system": "urn:oid:2.16.9", "value": "4711"}]}
    assert cards(service, call(prefetch={"patient": stranger, "ecgs": None})) == []
    unnamed = PATIENT | {"identifier": [{"value": "4711"}]}
    assert cards(service, call(prefetch={"patient": unnamed, "ecgs": None})) == []


def test_a_stored_patient_with_the_number_leads_to_the_ecgs_that_refer_to_it(service: Service) -> None:
    put = service.client.request(
        "PUT", "/fhir/Patient/our-1", json=PATIENT | {"id": "our-1"}, headers={"Content-Type": FHIR_JSON}
    )
    assert put.status_code == 201
    content = observation(real_ecg(), patient="Patient/our-1")
    service.client.post("/fhir/Observation", content=content, headers={"Content-Type": FHIR_JSON})
    assert [card["indicator"] for card in cards(service, call("patient-view"))] == ["critical"]


def test_no_card_where_nothing_asks_for_one() -> None:
    with running() as service:
        assert cards(service, call("patient-view")) == []
        assert service.store.events == []
        assert service.metric('ecg_cds_calls_total{service="ecg-patient-view"}') == 1


def test_an_archive_raises_no_card_and_a_newer_normal_ecg_replaces_an_older_finding(service: Service) -> None:
    assert cards(service, call("patient-view", ecg(NOW - 30 * HOUR))) == []
    assert service.store.count("DiagnosticReport") == 1
    assert len(cards(service, call("patient-view", ecg(NOW - 2 * HOUR, id="o-2")))) == 1
    service.intake.clock.now = NOW + timedelta(days=2)  # type: ignore[attr-defined]
    assert cards(service, call("patient-view", ecg(NOW - 2 * HOUR, id="o-2"))) == []


def test_the_newest_by_recording_time_counts_and_is_compared_with_the_one_before(service: Service) -> None:
    (card,) = cards(service, call("patient-view", ecg(NOW - 5 * HOUR, id="o-1"), ecg(NOW - HOUR, id="o-2")))
    assert "60 minutes ago" in card["summary"]
    assert "Compared with the previous ECG of 2026-03-02 04:30 UTC" in card["detail"]
    assert "Found in both: Myocardial infarction" in card["detail"]


def test_silent_results_raise_no_card() -> None:
    from actions.analysis import Mode

    with running(mode=Mode.SILENT) as service:
        assert cards(service, call("patient-view", ecg())) == []
        assert service.store.count("DiagnosticReport") == 1


def test_one_that_cannot_be_read_gets_a_card_that_says_so(service: Service) -> None:
    broken = ecg(id="o-2")
    broken["component"] = broken["component"][:4]
    (card,) = cards(service, call("patient-view", ecg(NOW - HOUR), broken))
    assert card["indicator"] == "info"
    assert "could not be analysed" in card["summary"]
    assert "suggestions" not in card
    assert "page" not in card


def test_a_flat_signal_is_told_of_with_the_reason(service: Service) -> None:
    flat = ecg()
    for component in flat["component"]:
        sampled = component["valueSampledData"]
        sampled["data"] = " ".join("0" for _ in sampled["data"].split())
    (card,) = cards(service, call("patient-view", flat))
    assert card["indicator"] == "info"
    assert "could not be interpreted" in card["detail"]


def test_missing_data_that_cannot_be_had_is_412_with_an_outcome(service: Service) -> None:
    bodies = (
        call(prefetch={}, fhirServer=None),
        call(prefetch={"patient": {"resourceType": "OperationOutcome"}}, fhirServer=None),
        call(prefetch={"patient": PATIENT | {"identifier": []}}, fhirServer=None),
    )
    for body in bodies:
        without = {name: value for name, value in body.items() if value is not None}
        outcome = answered(service, without, status=412)
        assert outcome["resourceType"] == "OperationOutcome"
        assert "prefetch" in orjson.dumps(outcome).decode()


def test_null_says_that_there_is_nothing_and_is_enough(service: Service) -> None:
    assert cards(service, call(prefetch={"patient": None, "ecgs": None})) == []


def test_a_model_failure_is_an_error_and_never_an_empty_list(service: Service) -> None:
    def fail(_: Any) -> Any:
        raise ModelUnavailable("no model")

    object.__setattr__(service.intake.analyzer, "classify", fail)
    outcome = answered(service, call("patient-view", ecg()), status=503)
    assert outcome["resourceType"] == "OperationOutcome"
    valid("OperationOutcome", orjson.dumps(outcome))


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"hook": "order-sign"}, "hook"),
        ({"hookInstance": "1"}, "hookInstance"),
        ({"context": {"userId": "me"}}, "context.userId"),
        ({"context": {"patientId": "a/b"}}, "context.patientId"),
        ({"fhirServer": None, "fhirAuthorization": {"access_token": "x"}}, "fhirAuthorization"),
        ({"prefetch": {"patient": {"resourceType": "Group"}, "ecgs": None}}, "prefetch.patient"),
        ({"prefetch": {"patient": PATIENT | {"id": "p-2"}, "ecgs": None}}, "prefetch.patient.id"),
        ({"prefetch": {"patient": PATIENT, "ecgs": {"resourceType": "List"}}}, "prefetch.ecgs"),
        ({"prefetch": []}, "prefetch"),
    ],
)
def test_a_call_that_breaks_the_specification_is_refused_with_the_place(
    service: Service, changed: dict[str, Any], place: str
) -> None:
    body = call() | changed
    body["context"] = call()["context"] | changed.get("context", {})
    response = service.client.post("/cds-services/ecg-patient-view", json=body)
    assert response.status_code in (400, 422), response.text
    assert place in response.text
    valid("OperationOutcome", response.content)


def test_another_patient_s_ecg_is_not_shown(service: Service) -> None:
    (card,) = cards(service, call("patient-view", ecg(patient="Patient/p-2")))
    assert card["indicator"] == "info"
    assert "another patient" in card["summary"]
    assert service.store.count("DiagnosticReport") == 0


def test_what_is_no_json_or_no_service_is_refused(service: Service) -> None:
    path = "/cds-services/ecg-patient-view"
    json = {"Content-Type": "application/json"}
    assert service.client.post(path, content=b"{", headers=json).status_code == 400
    assert service.client.post(path, content=b"[]", headers=json).status_code == 400
    assert service.client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert service.client.post("/cds-services/none", json={}).status_code == 404
    assert service.client.get(path).status_code == 405


def test_a_report_that_a_clinician_has_read_raises_no_card_but_for_an_immediate_finding(service: Service) -> None:
    body = call("patient-view", ecg())
    cards(service, body)
    (entry,) = service.client.get("/fhir/DiagnosticReport").json()["entry"]
    report = entry["resource"] | {
        "status": "final",
        "conclusion": "Old inferior infarction.",
        "resultsInterpreter": [{"reference": "Practitioner/cardio"}],
    }
    response = service.client.request(
        "PUT",
        f"/fhir/DiagnosticReport/{report['id']}",
        json=report,
        headers={"Content-Type": FHIR_JSON, "If-Match": 'W/"1"'},
    )
    assert response.status_code == 200, response.text
    (card,) = cards(service, body)
    assert card["indicator"] == "info"
    assert "Practitioner/cardio" in card["summary"]
    assert "Old inferior infarction" in card["detail"]


def test_a_clinician_s_report_in_the_ehr_leaves_immediate_findings_only() -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "result": [{"reference": "Observation/o-1"}],
    }
    with running(make_prediction(HYP=0.6)) as service:
        prefetch = {"patient": PATIENT, "ecgs": bundle(ecg()), "reports": bundle(report)}
        assert cards(service, call(prefetch=prefetch)) == []
        del prefetch["reports"]
        assert len(cards(service, call(prefetch=prefetch))) == 1


def test_pages_of_other_origins_may_call_only_where_they_are_named() -> None:
    origin, path = "https://sandbox.cds-hooks.org", "/cds-services/ecg-patient-view"
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type"
    with running(cors_origins=origin) as service:
        allowed = service.client.request("OPTIONS", path, headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == origin
        found = service.client.post(path, json=call("patient-view"), headers={"Origin": origin})
        assert found.headers["access-control-allow-origin"] == origin
    with running() as service:
        assert "access-control-allow-origin" not in service.client.request("OPTIONS", path, headers=asked).headers


def test_every_service_answers_a_call_of_its_hook(service: Service) -> None:
    orders = {"draftOrders": bundle(), "selections": []}
    for one in SERVICES.values():
        context = orders if one.hook.is_of_orders else {}
        assert cards(service, call(one.hook.value, context=context)) == []
