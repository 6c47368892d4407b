from typing import Any

import pytest

from inference.errors import InvalidContent, MissingElement
from interop.resources.validation import DEFINITIONS, problems, validate
from tests.interop.resources.cases import ecg_observation

REPORT = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"}}


def elements(resource: dict[str, Any]) -> set[str]:
    return {problem.element for problem in problems(resource)}


def test_a_valid_resource_has_no_problems() -> None:
    assert problems(ecg_observation()) == []


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"status": "nonsense"}, "Observation.status"),
        ({"status": ""}, "Observation.status"),
        ({"subject": {}}, "Observation.subject"),
        ({"component": []}, "Observation.component"),
        ({"note": None}, "Observation.note"),
        ({"id": "a" * 65}, "Observation.id"),
        ({"id": "a b"}, "Observation.id"),
        ({"subject": {"reference": "Medication/1"}}, "Observation.subject"),
        ({"subject": {"reference": "urn:uuid:1", "type": "Medication"}}, "Observation.subject"),
        ({"subject": {"reference": "Medication/1", "type": "Patient"}}, "Observation.subject"),
        ({"encounter": {"reference": "https://h.org/fhir/Patient/1"}}, "Observation.encounter"),
        ({"subject": {"reference": "patient 1"}}, "Observation.subject.reference"),
        ({"subject": {"reference": "Patient?identifier=1"}}, "Observation.subject.reference"),
        ({"subject": {"reference": "#p"}}, "Observation.subject.reference"),
        ({"identifier": [{"use": "mine", "value": "1"}]}, "Observation.identifier[0].use"),
        ({"identifier": {"value": "1"}}, "Observation.identifier"),
        ({"status": ["final"]}, "Observation.status"),
        ({"colour": "red"}, "Observation.colour"),
        ({"valueQuantity": {"value": 1, "comparator": "~"}}, "Observation.valueQuantity.comparator"),
        ({"valueQuantity": {"value": "1"}}, "Observation.valueQuantity.value"),
        ({"valueQuantity": {"value": True}}, "Observation.valueQuantity.value"),
        ({"valueInteger": 1.5}, "Observation.valueInteger"),
        ({"effectivePeriod": {"start": "2026"}}, "Observation.effective"),
        ({"effectiveDateTime": "2026-02-31"}, "Observation.effectiveDateTime"),
        ({"valueString": "x", "dataAbsentReason": {"text": "y"}}, "Observation.dataAbsentReason"),
    ],
)
def test_a_broken_rule_is_named_by_its_expression(change: dict[str, Any], element: str) -> None:
    assert element in elements(ecg_observation() | change)


def test_a_component_with_the_observations_code_excludes_a_value() -> None:
    code = {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]}
    components = [{"code": code, "valueString": "x"}]
    assert elements(ecg_observation(component=components)) == set()
    assert elements(ecg_observation(component=components, valueString="y")) == {"Observation.component[0].code"}


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"code": {"coding": [{"code": 7}]}}, "Observation.component[7].code.coding[0].code"),
        ({"valueSampledData": None}, "Observation.component[7].valueSampledData"),
        ({"colour": "red"}, "Observation.component[7].colour"),
    ],
)
def test_a_lead_is_checked_where_it_stands_although_its_like_came_before(change: dict[str, Any], element: str) -> None:
    sound, broken = ecg_observation(), ecg_observation()
    assert problems(sound) == []
    broken["component"][7] |= change
    assert element in elements(broken)
    assert problems(sound) == []


@pytest.mark.parametrize("period", ["2", None])
def test_leads_that_differ_in_more_than_their_samples_are_checked_anew(period: object) -> None:
    assert problems(ecg_observation()) == []
    broken = ecg_observation()
    for component in broken["component"]:
        component["valueSampledData"]["period"] = period
    places = range(len(broken["component"]))
    assert elements(broken) == {f"Observation.component[{place}].valueSampledData.period" for place in places}


def test_required_elements_alone_are_a_missing_element() -> None:
    with pytest.raises(MissingElement) as caught:
        validate({"resourceType": "Observation"})
    assert {element for element, _ in caught.value.problems} == {"Observation.status", "Observation.code"}


def test_a_primitive_may_be_an_extension_instead() -> None:
    absent = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    assert problems(ecg_observation(status=None, _status=absent)) == []


def test_internal_references_reach_contained_resources_and_the_resource_itself() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    assert problems(ecg_observation(subject={"reference": "#p"}, contained=[patient])) == []
    device = {"resourceType": "Device", "id": "p"}
    observation = ecg_observation(encounter={"reference": "#p"}, contained=[device])
    assert elements(observation) == {"Observation.encounter"}
    assert problems(ecg_observation(hasMember=[{"reference": "#"}])) == []


def test_a_contained_resource_is_checked_like_any_other() -> None:
    patient = {"resourceType": "Patient", "id": "x" * 70, "gender": "f"}
    found = elements(ecg_observation(contained=[patient]))
    assert found == {"Observation.contained[0].id", "Observation.contained[0].gender"}


def test_a_contained_resource_says_what_it_is() -> None:
    assert elements(ecg_observation(contained=[{"id": "x"}])) >= {"Observation.contained[0].resourceType"}


def test_a_contained_resource_of_an_unknown_type_is_refused_wherever_it_is() -> None:
    unknown = {"resourceType": "Foo", "id": "x"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": unknown}]}
    assert elements(ecg_observation(contained=[unknown])) == {"Observation"}
    assert elements(ecg_observation(contained=[bundle])) == {"Observation"}


def test_an_object_in_place_of_a_number_is_refused_even_in_an_extension() -> None:
    assert elements(ecg_observation(extension=[{"url": "urn:x", "valueDecimal": {"a": 1}}]))


def test_nesting_without_end_is_refused() -> None:
    extension: dict[str, Any] = {"url": "urn:x", "valueString": "x"}
    for _ in range(200):
        extension = {"url": "urn:x", "extension": [extension]}
    with pytest.raises(InvalidContent, match="nested"):
        validate(ecg_observation(extension=[extension]))


@pytest.mark.parametrize(
    ("resource", "element"),
    [
        (
            {"resourceType": "ServiceRequest", "status": "draft", "intent": "nonsense", "subject": {"display": "x"}},
            "ServiceRequest.intent",
        ),
        (
            REPORT | {"performer": [{"reference": "Device/1"}]},
            "DiagnosticReport.performer[0]",
        ),
        ({"resourceType": "Device", "status": "on"}, "Device.status"),
    ],
)  # fmt: skip
def test_the_other_types_are_checked_by_the_same_tables(resource: dict[str, Any], element: str) -> None:
    assert elements(resource) == {element}


def test_the_tables_say_what_the_official_pages_say() -> None:
    assert DEFINITIONS["Observation"]["status"]["codes"] == [
        "registered",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "cancelled",
        "entered-in-error",
        "unknown",
    ]
    assert DEFINITIONS["Observation"]["subject"]["targets"] == ["Device", "Group", "Location", "Patient"]
    assert "Device" not in DEFINITIONS["DiagnosticReport"]["performer"]["targets"]
    assert "Device" in DEFINITIONS["Provenance.agent"]["who"]["targets"]
    assert DEFINITIONS["ServiceRequest"]["intent"]["codes"][0] == "proposal"
