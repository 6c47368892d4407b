from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import InvalidContent, MissingElement
from interop.resources.validation import DEFINITIONS, problems, validate
from tests.interop.resources.cases import ecg_observation

Json = dict[str, Any]
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


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


AT = "2026-03-02T09:20:00.120Z"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
SIGNATURE: Json = {"type": [{"code": "x"}], "when": AT, "who": {"reference": "Location/1"}}
NEW = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
MIA: Json = {"resourceType": "Patient", "name": [{"family": "Berg", "given": ["Mia"]}]}
EXAMPLES: dict[str, Json] = {
    "AuditEvent": {
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "action": "C",
        "recorded": AT,
        "outcome": "0",
        "agent": [
            {"type": concept(DICOM, "110153"), "requestor": True, "network": {"address": "10.0.0.7", "type": "2"}}
        ],
        "source": {"observer": {"reference": "Device/ecg"}, "type": [{"code": "4"}]},
        "entity": [{"what": {"reference": "Observation/1/_history/1"}, "detail": [{"type": "x", "valueString": "y"}]}],
    },
    "Binary": {"contentType": "application/dicom", "securityContext": {"reference": "Patient/1"}, "data": "RENN"},
    "Bundle": {
        "type": "transaction",
        "entry": [
            {"fullUrl": NEW, "resource": MIA, "request": {"method": "POST", "url": "Patient"}},
            {
                "resource": ecg_observation(subject={"reference": NEW}),
                "request": {"method": "PUT", "url": "Observation/1"},
            },
            {"request": {"method": "DELETE", "url": "Observation/2", "ifMatch": 'W/"2"'}},
        ],
    },
    "DocumentReference": {
        "status": "current",
        "type": concept("http://loinc.org", "11524-6"),
        "subject": {"reference": "Patient/1"},
        "author": [{"reference": "Device/cart-7"}],
        "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/0"}}],
        "content": [
            {"attachment": {"contentType": "application/pdf", "url": "Binary/1", "size": 1200, "creation": AT}}
        ],
        "context": {
            "period": {"start": "2026-03-02", "end": "2026-03-02"},
            "related": [{"reference": "Observation/1"}],
        },
    },
    "MessageHeader": {
        "eventCoding": {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "R01"},
        "destination": [{"endpoint": "urn:oid:1.2.3.4", "receiver": {"reference": "Organization/1"}}],
        "source": {"name": "ECG management", "software": "cart", "endpoint": "urn:oid:1.2.3.5"},
        "response": {"identifier": "m-1", "code": "ok"},
        "focus": [{"reference": "DiagnosticReport/1"}],
    },
    "OperationOutcome": {
        "issue": [{"severity": "error", "code": "required", "details": {"text": "x"}, "expression": ["Patient.name"]}]
    },
    "Organization": {
        "identifier": [{"use": "official", "system": "urn:oid:1.2.3", "value": "H-1"}],
        "name": "General Hospital",
        "telecom": [{"system": "phone", "value": "+49 30 1", "use": "work"}],
        "address": [{"use": "work", "type": "physical", "line": ["Street 1"], "city": "Berlin"}],
    },
    "Parameters": {
        "parameter": [
            {"name": "result", "valueBoolean": True},
            {"name": "age", "valueAge": {"value": 60, "system": "http://unitsofmeasure.org", "code": "a"}},
            {"name": "patient", "resource": MIA},
            {"name": "match", "part": [{"name": "grade", "valueCode": "certain"}]},
        ]
    },
    "Practitioner": {
        "name": [{"use": "official", "family": "Okafor", "_family": {"id": "f"}, "prefix": ["Dr."]}],
        "gender": "female",
        "birthDate": "1975-04",
        "qualification": [{"code": {"text": "cardiology"}, "issuer": {"reference": "Organization/1"}}],
    },
    "PractitionerRole": {
        "practitioner": {"reference": "Practitioner/1"},
        "organization": {"reference": "Organization/1"},
        "code": [concept("http://terminology.hl7.org/CodeSystem/practitioner-role", "doctor")],
        "availableTime": [{"daysOfWeek": ["mon", "tue"], "availableStartTime": "08:00:00"}],
    },
    "Task": {
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"text": "over-read"},
        "focus": {"reference": "DiagnosticReport/1"},
        "authoredOn": "2026-03-02T09:20:00Z",
        "lastModified": "2026-03-02T10:20:00+01:00",
        "owner": {"reference": "PractitionerRole/1"},
        "input": [{"type": {"text": "report"}, "valueReference": {"reference": "DiagnosticReport/1"}}],
    },
}


def example(kind: str, /, **change: Any) -> Json:
    return {"resourceType": kind} | deepcopy(EXAMPLES[kind]) | change


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_real_resource_of_every_type_is_valid(kind: str) -> None:
    assert problems(example(kind)) == []


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_id_has_its_form_in_every_type(kind: str) -> None:
    assert elements(example(kind, id="a b")) == {f"{kind}.id"}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_element_that_the_type_does_not_have_is_refused(kind: str) -> None:
    assert elements(example(kind, colour="red")) == {f"{kind}.colour"}


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("AuditEvent", {"type", "recorded", "agent", "source"}),
        ("Binary", {"contentType"}),
        ("Bundle", {"type"}),
        ("DocumentReference", {"status", "content"}),
        ("MessageHeader", {"event", "source"}),
        ("OperationOutcome", {"issue"}),
        ("Task", {"status", "intent"}),
    ],
)
def test_what_is_required_of_a_type(kind: str, missing: set[str]) -> None:
    with pytest.raises(MissingElement) as caught:
        validate({"resourceType": kind})
    assert {element for element, _ in caught.value.problems} == {f"{kind}.{name}" for name in missing}


@pytest.mark.parametrize(
    ("kind", "change", "element"),
    [
        ("AuditEvent", {"action": "X"}, "action"),
        ("AuditEvent", {"outcome": "1"}, "outcome"),
        ("AuditEvent", {"agent": [{"requestor": True, "network": {"type": "9"}}]}, "agent[0].network.type"),
        ("Bundle", {"type": "list"}, "type"),
        ("Bundle", {"entry": [{"request": {"method": "post", "url": "x"}}]}, "entry[0].request.method"),
        ("Bundle", {"type": "searchset", "entry": [{"search": {"mode": "x"}}]}, "entry[0].search.mode"),
        ("DocumentReference", {"status": "final"}, "status"),
        ("DocumentReference", {"relatesTo": [{"code": "x", "target": {"display": "y"}}]}, "relatesTo[0].code"),
        ("MessageHeader", {"response": {"identifier": "1", "code": "AA"}}, "response.code"),
        ("OperationOutcome", {"issue": [{"severity": "bad", "code": "required"}]}, "issue[0].severity"),
        ("OperationOutcome", {"issue": [{"severity": "error", "code": "bad"}]}, "issue[0].code"),
        ("Organization", {"telecom": [{"system": "telex", "value": "1"}]}, "telecom[0].system"),
        ("Organization", {"address": [{"use": "office"}]}, "address[0].use"),
        ("Parameters", {"parameter": [{"name": "a", "valueAddress": {"use": "x"}}]}, "parameter[0].valueAddress.use"),
        ("Practitioner", {"gender": "F"}, "gender"),
        ("PractitionerRole", {"availableTime": [{"daysOfWeek": ["Monday"]}]}, "availableTime[0].daysOfWeek[0]"),
        ("Task", {"status": "active"}, "status"),
        ("Task", {"intent": "directive"}, "intent"),
        ("Task", {"priority": "high"}, "priority"),
    ],
)  # fmt: skip
def test_a_code_outside_a_required_binding_is_refused(kind: str, change: Json, element: str) -> None:
    assert elements(example(kind, **change)) == {f"{kind}.{element}"}


@pytest.mark.parametrize(
    ("kind", "change", "element"),
    [
        ("AuditEvent", {"source": {"observer": {"reference": "Location/1"}}}, "source.observer"),
        ("DocumentReference", {"custodian": {"reference": "Patient/1"}}, "custodian"),
        ("DocumentReference", {"author": [{"reference": "Location/1"}]}, "author[0]"),
        ("MessageHeader", {"sender": {"reference": "Device/1"}}, "sender"),
        ("Organization", {"endpoint": [{"reference": "Device/1"}]}, "endpoint[0]"),
        ("Task", {"input": [{"type": {"text": "x"}, "valueSignature": SIGNATURE}]}, "input[0].valueSignature.who"),
        ("PractitionerRole", {"practitioner": {"reference": "Patient/1"}}, "practitioner"),
        ("Task", {"owner": {"reference": "Location/1"}}, "owner"),
    ],
)  # fmt: skip
def test_a_reference_to_a_type_that_is_not_allowed_is_refused(kind: str, change: Json, element: str) -> None:
    assert elements(example(kind, **change)) == {f"{kind}.{element}"}


def test_base64_is_told_from_other_text() -> None:
    assert problems(example("Binary", data="RENN\nRENN")) == []
    assert elements(example("Binary", data="RENN!")) == {"Binary.data"}


def bundle(*resources: object) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource} for resource in resources]}


def test_what_a_bundle_holds_is_checked_like_a_resource_that_came_alone() -> None:
    broken = ecg_observation(status="nonsense", effectiveDateTime="2026-02-31")
    assert elements(bundle(example("Task"), broken)) == {
        "Bundle.entry[1].resource.status",
        "Bundle.entry[1].resource.effectiveDateTime",
    }
    patient = {"resourceType": "Patient", "contact": [{"gender": "male"}]}
    assert elements(bundle(bundle(patient))) == {"Bundle.entry[0].resource.entry[0].resource.contact[0]"}
    response = {"status": "200", "outcome": {"resourceType": "OperationOutcome"}}
    answer = {"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": response}]}
    assert elements(answer) == {"Bundle.entry[0].response.outcome.issue"}


def test_what_parameters_hold_is_checked_at_any_depth() -> None:
    inner = {"name": "b", "resource": ecg_observation(status="nonsense")}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "a", "part": [inner]}]}
    assert elements(parameters) == {"Parameters.parameter[0].part[0].resource.status"}


def test_a_type_without_a_table_is_checked_by_its_model_class() -> None:
    encounter: Json = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    assert problems(bundle(encounter)) == []
    assert elements(bundle(encounter | {"colour": "red"})) == {"Bundle.entry[0].resource.colour"}
    assert problems(bundle({"resourceType": "Basic"}))[0].missing


@pytest.mark.parametrize("kind", ["Foo", "Quantity", "Resource", "DomainResource", "BundleEntry", ""])
def test_what_is_no_type_of_resource_is_refused(kind: str) -> None:
    assert elements(bundle({"resourceType": kind})) == {"Bundle.entry[0].resource"}


@pytest.mark.parametrize("held", ["x", {}, [], [{"resourceType": "Patient"}]])
def test_what_is_no_object_is_named_where_it_stands(held: object) -> None:
    assert elements(bundle(held)) == {"Bundle.entry[0].resource"}


@pytest.mark.parametrize("held", [{"id": "x"}, {"resourceType": 7}])
def test_what_is_held_says_its_type(held: Json) -> None:
    assert elements(bundle(held)) == {"Bundle.entry[0].resource.resourceType"}


def test_a_reference_by_hash_stays_within_the_entry() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    within = ecg_observation(subject={"reference": "#p"}, contained=[patient])
    assert problems(bundle(within)) == []
    assert elements(bundle(ecg_observation(subject={"reference": "#p"}), within)) == {
        "Bundle.entry[0].resource.subject.reference"
    }


def test_an_entry_can_be_checked_by_itself_under_its_expression() -> None:
    found = problems(ecg_observation(status="nonsense", valueString="x"), path="Bundle.entry[3].resource")
    assert [problem.element for problem in found] == ["Bundle.entry[3].resource.status"]
    component = {"code": {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]}}
    repeated = ecg_observation(component=[component], valueString="x")
    assert (
        problems(repeated, path="Bundle.entry[3].resource")[0].element == "Bundle.entry[3].resource.component[0].code"
    )
    assert problems({"resourceType": "Foo"}, path="x.y")[0].element == "x.y"


def test_a_bundle_can_be_checked_without_what_it_holds() -> None:
    broken = bundle(
        ecg_observation(status="nonsense"), {"resourceType": "Patient", "meta": {"versionId": []}}, {"a": 1}
    )
    assert problems(broken, held=False) == []
    assert len(problems(broken)) >= 3
    assert [problem.element for problem in problems(broken | {"total": 1}, held=False)] == ["Bundle.total"]


def test_a_list_of_primitives_keeps_the_place_of_an_extension_by_null() -> None:
    extended = {"extension": [{"url": "urn:x", "valueString": "y"}]}
    name: Json = {"given": ["Mia", None], "_given": [None, extended]}
    assert problems(example("Practitioner", name=[name])) == []
    assert elements(example("Practitioner", name=[name | {"_given": [extended]}])) == {"Practitioner.name[0].given[1]"}
    assert elements(example("Practitioner", name=[{"_given": [{}]}])) == {"Practitioner.name[0].given[0]"}
    assert elements(example("Practitioner", name=[{"_given": extended}])) == {"Practitioner.name[0].given"}


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"_gender": None}, "gender"),
        ({"_gender": {}}, "gender"),
        ({"_gender": []}, "gender"),
        ({"_gender": {"extension": []}}, "gender.extension"),
        ({"_gender": {"colour": "red"}}, "gender.colour"),
        ({"_name": {"id": "x"}}, "_name"),
        ({"_colour": {"id": "x"}}, "_colour"),
        ({"": 1}, ""),
    ],
)
def test_what_stands_beside_a_primitive_is_an_element(change: Json, element: str) -> None:
    assert f"Practitioner.{element}" in elements(example("Practitioner", **change))


def test_an_extension_is_checked_like_other_elements() -> None:
    def extended(**value: Any) -> set[str]:
        return elements({"resourceType": "Patient", "extension": [{"url": "urn:x", **value}]})

    assert extended(valueReference={"reference": "no reference"}) == {"Patient.extension[0].valueReference.reference"}
    assert extended(valueIdentifier={"use": "mine"}) == {"Patient.extension[0].valueIdentifier.use"}
    assert extended(valueString=None) == {"Patient.extension[0].valueString"}
    assert extended(valueString="a", valueCode="b") == {"Patient.extension[0].value", "Patient.extension[0]"}


WRONG: st.SearchStrategy[object] = st.sampled_from(
    [None, "", 0, 1.5, True, [], {}, "x", "#p", "2026", [None], [{}], {"a": 1}, [1], 1e308, {"id": "x"}, MIA, [MIA]]
)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


PLACES = [(kind, place) for kind, content in EXAMPLES.items() for place in places(content)]


@given(st.sampled_from(PLACES), WRONG, st.booleans())
def test_whatever_stands_wherever_the_answer_is_a_list_of_problems_there(
    place: tuple[str, tuple[Any, ...]], wrong: object, held: bool
) -> None:
    kind, (*way, last) = place
    resource: Any = example(kind)
    target = resource
    for step in way:
        target = target[step]
    target[last] = wrong
    assert all(
        problem.element.startswith("here") and problem.message for problem in problems(resource, path="here", held=held)
    )
