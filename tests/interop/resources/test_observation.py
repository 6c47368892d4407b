from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import (
    InvalidContent,
    LeadsMissing,
    Malformed,
    MissingElement,
    SamplingRateInvalid,
    SignalMalformed,
    UnitMissing,
    UnitUnsupported,
)
from inference.recording import LEADS, Recording, Sex
from interop.resources.identifiers import Identifier
from interop.resources.observation import (
    parse,
    to_recording,
)
from tests.interop.resources.cases import component, ecg_observation, received_observation

VECTORS = Path(__file__).parents[2] / "vectors" / "fhir"
PATIENT = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1966-03-02"}


def recording_of(**changes: Any) -> Recording:
    return to_recording(received_observation(**changes))


def with_component(index: int, **sampled: Any) -> list[dict[str, Any]]:
    components: list[dict[str, Any]] = ecg_observation()["component"]
    code = components[index]["code"]["coding"][0]["code"]
    components[index] = component(code, components[index]["valueSampledData"]["data"])
    components[index]["valueSampledData"] |= sampled
    return components


# parse


def test_a_valid_observation_tells_what_the_doors_need() -> None:
    received = received_observation(id="mine")
    assert (received.id, received.status, received.is_waveform, received.withdrawn) == ("mine", "final", True, False)
    assert received.identifiers == (Identifier("ECG-1", "urn:oid:1.2.3"),)
    assert received.effective == datetime(2026, 3, 2, 9, 20, 0, 120_000, UTC)
    assert received.patient_key == "Patient/1"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b"{}", b'{"resourceType": 1}'])
def test_what_is_no_json_object_with_a_type_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse(content)


@given(st.binary(max_size=200))
def test_bytes_never_break_the_parser(content: bytes) -> None:
    with pytest.raises((Malformed, InvalidContent)):
        parse(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.sampled_from(["", "x", "final", "#p"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["reference", "coding", "code", "valueSampledData", "data", "start", "_id", "origin"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


places = st.sampled_from(
    ["subject", "component", "effectivePeriod", "effectiveDateTime", "identifier", "code", "contained"]
)


@settings(max_examples=200, deadline=None)
@given(places, json_values)
def test_any_json_in_any_place_is_read_or_refused_with_the_element_named(name: str, value: object) -> None:
    refused: InvalidContent | None = None
    try:
        to_recording(parse(orjson.dumps(ecg_observation() | {name: value})))
    except InvalidContent as error:
        refused = error
    assert refused is None or refused.element


def test_another_resource_is_refused() -> None:
    with pytest.raises(InvalidContent) as caught:
        parse(orjson.dumps({"resourceType": "Patient"}))
    assert caught.value.element == "resourceType"


def test_a_missing_subject_is_refused() -> None:
    with pytest.raises(MissingElement) as caught:
        received_observation(subject=None)
    assert caught.value.element == "Observation.subject"


def test_a_subject_that_names_nobody_is_refused() -> None:
    with pytest.raises(MissingElement):
        received_observation(subject={"display": "J. Doe"})


@pytest.mark.parametrize("target", ["Medication/1", "Group/1", "http://h.org/fhir/Device/1"])
def test_the_subject_of_an_ecg_is_a_patient(target: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        received_observation(subject={"reference": target})
    assert caught.value.element == "Observation.subject"


def test_an_observation_that_is_no_ecg_may_have_a_group_as_subject() -> None:
    received = received_observation(subject={"reference": "Group/1"}, code={"text": "noise level"}, component=None)
    assert not received.is_waveform


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/1/_history/2"},
        {"reference": "https://hospital.example/fhir/Patient/1"},
        {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
        {"identifier": {"system": "urn:oid:1.2", "value": "77"}},
    ],
)
def test_references_to_what_we_do_not_hold_are_accepted(subject: dict[str, Any]) -> None:
    assert received_observation(subject=subject).subject == subject


def test_all_problems_are_reported_at_once() -> None:
    components: list[dict[str, Any]] = with_component(3)
    components[3].pop("code")
    with pytest.raises(InvalidContent) as caught:
        received_observation(status="nonsense", subject=None, component=components, id="a" * 80)
    elements = {element for element, _ in caught.value.problems}
    assert elements == {
        "Observation.id",
        "Observation.status",
        "Observation.subject",
        "Observation.component[3].code",
    }


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_withdrawn_observation_is_marked(status: str) -> None:
    assert received_observation(status=status).withdrawn


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("http://loinc.org", "11524-6"),
        ("http://loinc.org", "34534-8"),
        ("urn:iso:std:iso:11073:10101", "131328"),
        ("urn:oid:2.16.840.1.113883.6.24", "131328"),
    ],
)
def test_each_code_of_a_whole_ecg_makes_a_waveform(system: str, code: str) -> None:
    assert received_observation(code={"coding": [{"system": system, "code": code}]}, component=None).is_waveform


def test_a_local_code_over_lead_components_is_a_waveform_too() -> None:
    assert received_observation(code={"text": "EKG"}).is_waveform


def test_the_patient_key_prefers_an_identifier_to_a_reference() -> None:
    subject = {"reference": "Patient/1", "identifier": {"system": "urn:oid:1.2", "value": "77"}}
    assert received_observation(subject=subject).patient_key == "urn:oid:1.2|77"


def test_a_contained_patient_gives_the_key_by_its_identifier() -> None:
    patient = PATIENT | {"identifier": [{"system": "urn:oid:1.2", "value": "77"}]}
    assert received_observation(subject={"reference": "#p"}, contained=[patient]).patient_key == "urn:oid:1.2|77"
    assert received_observation(subject={"reference": "#p"}, contained=[PATIENT]).patient_key is None


# time and person


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(InvalidContent) as caught:
        received_observation(effectiveDateTime="2026-03-02T10:20:00")
    assert caught.value.element == "Observation.effectiveDateTime"


def test_a_day_counts_as_its_noon_and_is_noted() -> None:
    recording = recording_of(effectiveDateTime="2026-03-02")
    assert recording.recorded_at == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert "Only the day of the recording is known, not its time." in recording.notes


def test_a_month_alone_leaves_the_recording_undated() -> None:
    recording = recording_of(effectiveDateTime="2026-03")
    assert recording.recorded_at is None
    assert "Only the month of the recording is known, not its time." in recording.notes


def test_the_start_of_a_period_is_the_time() -> None:
    period = {"start": "2026-03-02T10:20:00Z", "end": "2026-03-02T10:20:10Z"}
    assert recording_of(effectiveDateTime=None, effectivePeriod=period).recorded_at == datetime(
        2026, 3, 2, 10, 20, tzinfo=UTC
    )


def test_an_instant_is_the_time() -> None:
    recording = recording_of(effectiveDateTime=None, effectiveInstant="2026-03-02T10:20:00Z")
    assert recording.recorded_at == datetime(2026, 3, 2, 10, 20, tzinfo=UTC)


def test_age_and_sex_come_from_the_contained_patient_at_the_time_of_the_recording() -> None:
    recording = recording_of(subject={"reference": "#p"}, contained=[PATIENT])
    assert recording.age == pytest.approx(60.0, abs=0.01)
    assert recording.sex is Sex.FEMALE


def test_a_contained_patient_that_is_not_the_subject_tells_nothing() -> None:
    recording = recording_of(contained=[PATIENT], performer=[{"reference": "#p"}])
    assert (recording.age, recording.sex) == (None, Sex.UNKNOWN)


def test_a_gender_outside_the_value_set_is_refused() -> None:
    with pytest.raises(InvalidContent) as caught:
        received_observation(subject={"reference": "#p"}, contained=[PATIENT | {"gender": "F"}])
    assert caught.value.element == "Observation.contained[0].gender"


# signal


def test_eight_leads_are_completed_and_scaled() -> None:
    recording = recording_of()
    one, two = recording.signal[0], recording.signal[1]
    assert recording.sampling_rate == 500
    np.testing.assert_allclose(one, [0.001, 0.002, 0.003, -0.001], rtol=1e-6)
    np.testing.assert_allclose(recording.signal[LEADS.index("III")], two - one)
    assert "Leads III, aVR, aVL, aVF were calculated from I and II." in recording.notes


def test_value_is_origin_plus_factor_times_datum_in_the_unit_given() -> None:
    sampled = {"origin": {"value": 100, "unit": "uV"}, "factor": 2.5, "data": "1 2 3 4"}
    recording = recording_of(component=with_component(0, **sampled))
    np.testing.assert_allclose(recording.signal[0], [0.1025, 0.105, 0.1075, 0.11], rtol=1e-6)


def test_the_ucum_code_wins_over_the_text() -> None:
    origin = {"value": 0, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "uV"}
    recording = recording_of(component=with_component(0, origin=origin))
    np.testing.assert_allclose(recording.signal[0], np.array([1, 2, 3, -1]) * 1e-6, rtol=1e-6)


def test_a_code_of_another_system_leaves_it_to_the_text() -> None:
    origin = {"value": 0, "unit": "mV", "system": "urn:local", "code": "U1"}
    recording = recording_of(component=with_component(0, origin=origin))
    np.testing.assert_allclose(recording.signal[0], [0.001, 0.002, 0.003, -0.001], rtol=1e-6)


@pytest.mark.parametrize(
    ("sampled", "error", "element"),
    [
        ({"origin": {"value": 0}}, UnitMissing, "origin"),
        ({"origin": {"value": 0, "unit": "mmHg"}}, UnitUnsupported, "origin"),
        (
            {"origin": {"value": 0, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mm"}},
            UnitUnsupported,
            "origin",
        ),
        ({"dimensions": 12}, SignalMalformed, "dimensions"),
        ({"period": 0}, SamplingRateInvalid, "period"),
        ({"period": 500}, SamplingRateInvalid, "period"),
        ({"period": 4}, SamplingRateInvalid, "period"),
        ({"data": "1 2 3"}, SignalMalformed, "data"),
        ({"data": "1 2 x 4"}, SignalMalformed, "data"),
        ({"data": "1 2 3 1e999"}, SignalMalformed, "data"),
        ({"factor": 1e308}, SignalMalformed, "data"),
    ],
)
def test_an_unreadable_lead_is_refused_with_its_element(
    sampled: dict[str, Any], error: type[InvalidContent], element: str
) -> None:
    with pytest.raises(error) as caught:
        recording_of(component=with_component(2, **sampled))
    assert caught.value.element == f"Observation.component[2].valueSampledData.{element}"


def test_a_lead_without_data_is_refused() -> None:
    components = with_component(2)
    del components[2]["valueSampledData"]["data"]
    with pytest.raises(SignalMalformed, match="no samples"):
        recording_of(component=components)


def test_missing_leads_are_named() -> None:
    with pytest.raises(LeadsMissing, match="V6") as caught:
        recording_of(component=ecg_observation()["component"][:-1])
    assert caught.value.element == "Observation.component"


def test_a_lead_that_comes_twice_is_refused() -> None:
    components = ecg_observation()["component"]
    with pytest.raises(SignalMalformed) as caught:
        recording_of(component=[*components, components[0]])
    assert caught.value.element == "Observation.component[8].code"


def test_samples_of_the_whole_observation_are_refused_clearly() -> None:
    sampled = component("131329", "1 2")["valueSampledData"]
    with pytest.raises(LeadsMissing) as caught:
        recording_of(component=None, valueSampledData=sampled)
    assert caught.value.element == "Observation.valueSampledData"


def test_another_lead_is_left_out_with_a_note() -> None:
    extra = component("131337", "1 2")  # V7
    recording = recording_of(component=[*ecg_observation()["component"], extra])
    assert "Observation.component[8] is none of the twelve leads and was left out." in recording.notes


def test_lead_texts_are_understood_where_there_is_no_mdc_code() -> None:
    components = ecg_observation()["component"]
    for lead, item in zip(("Lead I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), components, strict=True):
        item["code"] = {"text": lead}
    assert np.array_equal(recording_of(component=components).signal, recording_of().signal)


def test_an_mdc_code_decides_whatever_the_display_says() -> None:
    components = ecg_observation()["component"]
    components[0]["code"]["coding"][0]["display"] = "aVR"
    assert np.array_equal(recording_of(component=components).signal, recording_of().signal)


# HL7's own example


def test_hl7s_own_example_is_refused_because_its_unit_is_missing() -> None:
    received = parse((VECTORS / "observation-ekg.json").read_bytes())
    with pytest.raises(UnitMissing) as caught:
        to_recording(received)
    assert caught.value.element == "Observation.component[0].valueSampledData.origin"


def test_hl7s_own_example_decodes_as_written_once_it_has_a_unit_and_leads() -> None:
    example = orjson.loads((VECTORS / "observation-ekg.json").read_bytes())
    template = example["component"][0]["valueSampledData"] | {"origin": {"value": 2048, "unit": "uV"}}
    codes = ("131329", "131330", *(str(131331 + n) for n in range(6)))
    example["component"] = [component(code, **template) for code in codes]
    recording = to_recording(parse(orjson.dumps(example)))
    assert recording.sampling_rate == 100
    assert recording.signal[0, 0] == pytest.approx((2048 + 1.612 * 2041) / 1000)
    # What was meant differs by a constant only, which the preparation removes.
    meant = (np.array([float(datum) for datum in template["data"].split()]) - 2048) * 1.612 / 1000
    np.testing.assert_allclose(np.diff(recording.signal[0]), np.diff(meant), atol=1e-5)
