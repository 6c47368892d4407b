from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from audit.retention_records import RetentionLimits
from inference.digest import signal_digest
from inference.errors import NotFound
from inference.recording import INDEPENDENT_LEADS, LEADS, Recording, Sex
from interop.hl7.senders import load_senders
from interop.replay_source import PERSON_NOTES, Signal, Source, find_source
from tests.fakes import NOW
from tests.interop.service import FHIR_JSON, Service, matrix, observation, real_ecg, running

JSON = {"Content-Type": "application/json"}
FHIR = {"Content-Type": FHIR_JSON}
SENDERS = load_senders(None, "UTC")
EVERYTHING = RetentionLimits(payloads_before=NOW.replace(year=2100), items_before=NOW.replace(year=2100))
FINE = (real_ecg().signal * np.float32(1.0371) + np.float32(1.23e-6)).astype(np.float32)


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def source(service: Service, analysis: str) -> Source:
    found: Source = service.store.read(lambda reader: find_source(reader, analysis, SENDERS))
    return found


def by_predict(service: Service, recording: Recording | None = None, **changed: Any) -> str:
    found = recording or real_ecg()
    body = {"ecg_signal": matrix(found), "recorded_at": NOW.isoformat(), "patient_age": 74.3, "patient_sex": "M"}
    answer = service.client.post("/predict", content=orjson.dumps(body | changed), headers=JSON)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prediction_id"])


def by_fhir(service: Service, content: bytes, id: str | None = None) -> tuple[str, str]:
    """The ids of the Observation and of the analysis."""
    if id is None:
        answer = service.client.post("/fhir/Observation", content=content, headers=FHIR)
    else:
        body = orjson.loads(content) | {"id": id}
        answer = service.client.request("PUT", f"/fhir/Observation/{id}", json=body, headers=FHIR)
    assert answer.status_code in (200, 201), answer.text
    (newest,) = service.store.rows("SELECT analysis_id FROM inbox ORDER BY id DESC LIMIT 1")
    return answer.json()["id"], newest[0]


def forget(service: Service, limits: RetentionLimits = EVERYTHING) -> None:
    list(service.store.store.forget(limits))


def test_an_ecg_that_came_by_fhir_is_the_stored_one(service: Service) -> None:
    observed, analysis = by_fhir(service, observation(real_ecg()))
    found = source(service, analysis)
    assert (found.ecg, found.signal, found.same) == (f"Observation/{observed}/_history/1", Signal.STORED, True)
    assert np.array_equal(found.recording.signal, real_ecg().signal)
    assert (found.recording.recorded_at, found.notes) == (NOW, ())
    assert found.entry is not None
    assert found.features is not None


def test_leads_that_were_calculated_are_calculated_again(service: Service) -> None:
    places = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
    signal = [matrix(real_ecg())[place] for place in places]
    found = source(service, by_predict(service, ecg_signal=signal, leads=[LEADS[place] for place in places]))
    assert (found.signal, found.same) == (Signal.CALCULATED, True)
    assert found.notes == ("Leads III, aVR, aVL, aVF were calculated from I and II.",)


def test_samples_between_the_steps_that_are_stored_come_from_the_item_as_it_was_received(service: Service) -> None:
    analysis = by_predict(service, ecg_signal=FINE.astype(float).tolist())
    found = source(service, analysis)
    assert (found.signal, found.same) == (Signal.RECEIVED, True)
    assert np.array_equal(found.recording.signal, FINE)
    forget(service, replace(EVERYTHING, payloads_before=None))
    rounded = source(service, analysis)
    assert (rounded.signal, rounded.same) == (Signal.STORED, False)
    assert 0 < np.abs(rounded.recording.signal - FINE).max() < 6e-6  # half of 10 nV, and a last bit


def test_without_the_entrys_payload_nothing_is_proven_and_the_best_is_taken(service: Service) -> None:
    analysis = by_predict(service, ecg_signal=FINE.astype(float).tolist())
    _, other = by_fhir(service, observation(real_ecg()))
    forget(service, replace(EVERYTHING, items_before=None))
    found = source(service, analysis)
    assert (found.entry, found.signal, found.same) == (None, Signal.RECEIVED, None)
    assert np.array_equal(found.recording.signal, FINE)
    assert (source(service, other).signal, source(service, other).same) == (Signal.STORED, None)


def test_of_a_corrected_ecg_it_is_the_version_that_was_analysed(service: Service) -> None:
    observed, first = by_fhir(service, observation(real_ecg()))
    turned = replace(real_ecg(), signal=-real_ecg().signal)
    _, second = by_fhir(service, observation(turned), observed)
    for analysis, version, recording in ((first, 1, real_ecg()), (second, 2, turned)):
        found = source(service, analysis)
        assert found.ecg == f"Observation/{observed}/_history/{version}"
        assert signal_digest(found.recording) == signal_digest(recording)


def test_of_an_ecg_that_was_withdrawn_or_deleted_since_it_is_the_version_before(service: Service) -> None:
    observed, analysis = by_fhir(service, observation(real_ecg()))
    by_fhir(service, observation(real_ecg(), status="entered-in-error"), observed)
    assert source(service, analysis).same is True
    deleted = service.client.request("DELETE", f"/fhir/Observation/{observed}")
    assert deleted.status_code in (200, 204)
    assert source(service, analysis).same is True


def test_what_predict_was_told_is_told_again(service: Service) -> None:
    analysis = by_predict(service, paced=True, recorded_at=None)
    found = source(service, analysis)
    assert found.recording.paced is True
    assert found.recording.recorded_at == found.past.recorded_at
    forget(service)
    assert source(service, analysis).recording.recorded_at == found.past.recorded_at


def test_notes_about_a_patient_who_stands_elsewhere_are_those_of_the_analysis(service: Service) -> None:
    born = {"resourceType": "Patient", "id": "p1", "gender": "male", "birthDate": "1950"}
    put = service.client.request("PUT", "/fhir/Patient/p1", json=born, headers=FHIR)
    assert put.status_code == 201, put.text
    _, analysis = by_fhir(service, observation(real_ecg(), patient="Patient/p1"))
    found = source(service, analysis)
    assert found.past.sex is Sex.MALE
    assert found.notes == ("Only the year of birth is known.",)
    assert set(found.notes) < PERSON_NOTES


def test_a_note_that_the_ecg_tells_and_the_analysis_does_not_shows(service: Service) -> None:
    places = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
    body = orjson.loads(observation(real_ecg()))
    body["component"] = [body["component"][place] for place in places]
    _, analysis = by_fhir(service, orjson.dumps(body))
    (content,) = service.store.read(lambda reader: [reader.analyses.get(analysis)])
    assert any("calculated" in warning for warning in source(service, analysis).notes)
    detail = orjson.loads(content.detail) | {"warnings": []}
    with service.store.store.unit_of_work() as uow:
        uow.analyses.add(replace(content, id=f"{analysis[:-1]}f", detail=orjson.dumps(detail)))
        report = uow.documents.read("DiagnosticReport", analysis)
        uow.documents.create(replace(report, id=f"{analysis[:-1]}f"), ())
    assert any("calculated" in warning for warning in source(service, f"{analysis[:-1]}f").notes)


def test_an_unknown_analysis_is_not_found(service: Service) -> None:
    with pytest.raises(NotFound):
        source(service, "absent")
