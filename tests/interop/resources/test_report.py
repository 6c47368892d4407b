from dataclasses import replace
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from actions.analysis import Analysis, Mode
from audit.criteria import IndexRow
from inference.prepare import preprocessing_hash
from inference.recording import Sex
from interop.resources.documents import Indexed
from interop.resources.origin import Origin
from interop.resources.report import Rendered, render
from interop.resources.validation import problems
from tests.fakes import CANDIDATE, CHAMPION, SequentialIds, make_prediction
from tests.interop.resources.cases import (
    FILLER,
    ORDER,
    make_analysis,
    make_recording,
    received_observation,
    uninterpretable,
)

SUBJECT = {"reference": "Patient/1", "identifier": {"system": "urn:oid:1.2", "value": "77"}, "display": "Doe, Jane"}
ORIGIN = Origin(observation=None, subject=SUBJECT, placer_order_number=ORDER, filler_order_number=FILLER)


def rendered(analysis: Analysis | None = None, origin: Origin = ORIGIN, **recording: Any) -> Rendered:
    return render(
        analysis or make_analysis(),
        recording=make_recording(**recording),
        origin=origin,
        observation_id="ecg-1",
        ids=SequentialIds(),
    )


def json(item: Indexed) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(item.document.content)
    return document


def everything(result: Rendered) -> list[dict[str, Any]]:
    return [json(item) for item in (*result.owned, *map(result.as_document, result.devices))]


ANALYSES = {
    "decided": make_analysis(),
    "candidate": make_analysis(prediction=make_prediction(CANDIDATE, NORM=0.9), recommendations=()),
    "silent": make_analysis(mode=Mode.SILENT),
    "uninterpretable": uninterpretable(),
    "unknown person": make_analysis(age=None, sex=Sex.UNKNOWN, conclusion_codes=()),
}
ORIGINS = {
    "message": ORIGIN,
    "nobody": Origin(observation=None, subject=None),
    "observation": Origin(observation=received_observation(), subject={"reference": "Patient/1"}),
}


@pytest.mark.parametrize("analysis", ANALYSES.values(), ids=ANALYSES)
@pytest.mark.parametrize("origin", ORIGINS.values(), ids=ORIGINS)
def test_every_resource_is_valid_by_the_model_classes_and_by_our_tables(analysis: Analysis, origin: Origin) -> None:
    for resource in everything(rendered(analysis, origin)):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert problems(resource) == []


def test_the_report_is_preliminary_and_names_what_it_rests_on() -> None:
    result = rendered()
    report = json(result.report)
    assert report["id"] == str(make_analysis().id)
    assert report["status"] == "preliminary"
    assert report["category"][0]["coding"][0]["code"] == "EC"
    assert report["code"]["coding"][0]["code"] == "11524-6"
    assert report["conclusionCode"][0]["coding"][0]["code"] == "164865005"
    assert report["effectiveDateTime"] == "2026-03-02T09:20:00.000Z"
    assert report["issued"] == "2026-03-02T09:30:00.000Z"
    references = [result_of["reference"] for result_of in report["result"]]
    assert references == ["Observation/ecg-1", *(f"Observation/{o.document.id}" for o in result.observations)]


def test_conclusion_and_warnings_are_both_read() -> None:
    conclusion = json(rendered().report)["conclusion"]
    assert conclusion == "Findings: myocardial infarction (probability 0.83).\nThe age is unknown; adult is assumed."


def test_order_numbers_are_placer_and_filler() -> None:
    identifiers = json(rendered().report)["identifier"]
    assert [(i["type"]["coding"][0]["code"], i.get("system"), i["value"]) for i in identifiers] == [
        ("PLAC", "urn:oid:1.2.4", "P-77"),
        ("FILL", None, "F-88"),
    ]


def test_an_uninterpretable_ecg_gives_a_cancelled_report_with_the_reason_and_nothing_else() -> None:
    result = rendered(uninterpretable())
    report = json(result.report)
    assert report["status"] == "cancelled"
    assert "There is no ECG in the signal." in report["conclusion"]
    assert result.service_requests == result.observations == ()
    assert [device["deviceName"][0]["name"] for device in result.devices] == ["ecg-clinical-action-recommender"]


def test_requests_are_proposals_and_none_is_made_for_urgency_none() -> None:
    requests = [json(item) for item in rendered().service_requests]
    assert [r["priority"] for r in requests] == ["stat", "routine"]
    assert {(r["status"], r["intent"]) for r in requests} == {("draft", "proposal")}
    first = requests[0]
    assert first["code"] == {"text": "Activate cath lab"}
    assert first["reasonReference"] == [{"reference": f"DiagnosticReport/{make_analysis().id}"}]
    assert first["reasonCode"][0]["coding"][0]["code"] == "164865005"
    assert [note["text"] for note in first["note"]] == [
        "If clinically acute; compare with the previous ECG.",
        "Confidence 0.83, rule mi-high.",
        "Source: ESC 2023",
    ]
    assert "reasonCode" not in requests[1]


def test_the_model_is_a_device_that_requests_and_authors() -> None:
    result = rendered()
    model = f"Device/{result.devices[1]['id']}"
    assert json(result.service_requests[0])["requester"] == {"reference": model}
    agents = json(result.provenance)["agent"]
    assert [(a["type"]["coding"][0]["code"], a["who"]["reference"]) for a in agents] == [
        ("author", model),
        ("assembler", f"Device/{result.devices[0]['id']}"),
    ]
    report = json(result.report)
    assert "performer" not in report
    assert report["extension"][0]["valueReference"] == {"reference": model}
    assert report["extension"][1]["valueCode"] == "champion"


def test_a_model_that_was_promoted_by_waiver_says_so_in_the_report() -> None:
    prediction = make_prediction(replace(CHAMPION, waived="fairness not assessed"), MI=0.83)
    report = json(rendered(make_analysis(prediction=prediction)).report)
    (waiver,) = (it for it in report["extension"] if it["url"] == "urn:ecg-interop:extension:model-waiver")
    assert waiver["valueString"] == "fairness not assessed"


def test_the_same_model_is_the_same_device() -> None:
    first, again = rendered().devices[1], rendered(make_analysis(age=3.0)).devices[1]
    other = rendered(make_analysis(prediction=make_prediction(CANDIDATE))).devices[1]
    assert first["id"] == again["id"] != other["id"]


def test_provenance_covers_report_requests_and_derived_observations() -> None:
    result = rendered()
    made = json(result.provenance)
    made_of = {f"{i.document.type}/{i.document.id}" for i in result.owned if i is not result.provenance}
    assert {target["reference"] for target in made["target"]} == made_of
    ecg, model, rules, preprocessing = made["entity"]
    assert ecg == {"role": "source", "what": {"reference": "Observation/ecg-1"}}
    assert {one["role"] for one in (model, rules, preprocessing)} == {"derivation"}
    assert model["what"] == {"reference": f"Device/{result.devices[1]['id']}"}
    assert rules["what"]["identifier"] == {"system": "urn:ietf:rfc3986", "value": made["policy"][0]}
    assert preprocessing["what"]["identifier"]["value"] == preprocessing_hash()
    assert made["policy"] == [f"urn:ecg-interop:rules:default%20rules:1:{'a' * 64}"]


def test_measurements_and_probabilities_are_derived_observations() -> None:
    probabilities, *measured = [json(item) for item in rendered().observations]
    assert [o["code"]["text"] for o in measured][-1] == "Frontal QRS axis"
    values = {o["code"].get("coding", [{}])[0].get("code"): o["valueQuantity"] for o in measured}
    assert {code: (q["value"], q["code"]) for code, q in values.items()} == {
        "8867-4": (72.3, "/min"),
        "8625-6": (160, "ms"),
        "8633-0": (92, "ms"),
        "8634-8": (388, "ms"),
        "76634-5": (411, "ms"),
        None: (-12, "deg"),
    }
    assert probabilities["component"][1]["valueQuantity"] == {
        "value": 0.83,
        "unit": "1",
        "system": "http://unitsofmeasure.org",
        "code": "1",
    }
    assert {o["derivedFrom"][0]["reference"] for o in (probabilities, *measured)} == {"Observation/ecg-1"}


def test_what_was_not_measured_is_left_out() -> None:
    analysis = make_analysis()
    measurements = replace(analysis.measurements, pr=None)
    codes = {json(o)["code"]["text"] for o in rendered(make_analysis(measurements=measurements)).observations}
    assert "PR interval" not in codes
    assert "QRS duration" in codes


def test_everything_is_labelled_as_asserted_by_a_machine_but_the_devices() -> None:
    result = rendered()
    labels = [json(item)["meta"]["security"][0]["code"] for item in result.owned]
    assert set(labels) == {"AIAST"}
    assert all("security" not in json(result.as_document(device))["meta"] for device in result.devices)


def test_silent_mode_tags_all_results() -> None:
    assert all("tag" not in json(item)["meta"] for item in rendered().owned)
    tagged = [json(item)["meta"]["tag"][0]["code"] for item in rendered(make_analysis(mode=Mode.SILENT)).owned]
    assert set(tagged) == {"silent"}


def test_the_patients_name_is_not_copied() -> None:
    for item in rendered().owned:
        assert b"Doe" not in item.document.content
    assert json(rendered().report)["subject"] == {k: v for k, v in SUBJECT.items() if k != "display"}


def test_a_contained_patient_is_named_by_its_identifier() -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:oid:1.2", "value": "77"}]}
    received = received_observation(subject={"reference": "#p"}, contained=[patient])
    report = json(rendered(origin=Origin(observation=received, subject=received.subject)).report)
    assert report["subject"] == {"type": "Patient", "identifier": patient["identifier"][0]}


def test_a_nameless_patient_is_said_to_be_unknown() -> None:
    requests = rendered(origin=Origin(observation=None, subject=None)).service_requests
    assert json(requests[0])["subject"]["extension"][0]["valueCode"] == "unknown"


def test_the_time_keeps_the_precision_of_the_source() -> None:
    received = received_observation(effectiveDateTime="2026-03-02")
    report = json(rendered(origin=Origin(observation=received, subject=received.subject)).report)
    assert report["effectiveDateTime"] == "2026-03-02"


def test_an_instant_of_the_source_becomes_a_date_time() -> None:
    received = received_observation(effectiveDateTime=None, effectiveInstant="2026-03-02T10:20:00Z")
    report = json(rendered(origin=Origin(observation=received, subject=received.subject)).report)
    assert report["effectiveDateTime"] == "2026-03-02T10:20:00Z"


def test_an_undated_ecg_gives_an_undated_report() -> None:
    assert "effectiveDateTime" not in json(rendered(recorded_at=None).report)


def test_orders_and_encounter_of_the_observation_are_taken_over_where_r4_allows() -> None:
    received = received_observation(
        basedOn=[{"reference": "ServiceRequest/9"}, {"reference": "DeviceRequest/2"}],
        encounter={"reference": "Encounter/5"},
    )
    result = rendered(origin=Origin(observation=received, subject=received.subject))
    report = json(result.report)
    assert report["basedOn"] == [{"reference": "ServiceRequest/9"}]
    assert report["encounter"] == json(result.service_requests[0])["encounter"] == {"reference": "Encounter/5"}


def test_the_report_is_found_by_what_it_names() -> None:
    rows = {(row.name, row.value) for row in rendered().report.index if isinstance(row, IndexRow)}
    assert rows >= {
        ("result", "Observation/ecg-1"),
        ("subject", "Patient/1"),
        ("subject:identifier", "77"),
        ("identifier", "P-77"),
        ("status", "preliminary"),
        ("conclusion", "164865005"),
    }
