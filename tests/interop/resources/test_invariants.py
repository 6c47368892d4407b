from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.resources.validation import problems
from tests.interop.resources.cases import ecg_observation

Json = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
CODE = {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]}
EXTENSION = {"url": "urn:x", "valueString": "y"}


def found(resource: Json) -> list[tuple[str, str]]:
    """Expression and key of each problem."""
    return [(problem.element, problem.message.partition(":")[0]) for problem in problems(resource)]


def holding(kind: str, value: Json) -> Json:
    """A resource with one value of a data type."""
    return {"resourceType": "Parameters", "parameter": [{"name": "x", f"value{kind}": value}]}


def measured(code: str | None = "mm", system: str | None = UCUM, value: float | None = 3) -> Json:
    return {k: v for k, v in {"value": value, "system": system, "code": code}.items() if v is not None}


def timing(**repeat: Any) -> Json:
    return {"repeat": repeat}


CONDITION = {"language": "text/fhirpath", "expression": "true"}
ADDED = {"type": "data-added", "data": [{"type": "Observation"}]}
EVENT = {"type": "named-event", "name": "x"}
ONE, TWO = {"value": 1}, {"value": 2}


@pytest.mark.parametrize(
    ("key", "kind", "sound", "broken", "element"),
    [
        ("age-1", "Age", measured("a"), measured(None), "code"),
        ("age-1", "Age", measured("a"), measured("a", system="urn:x"), "system"),
        ("age-1", "Age", measured("a"), measured("a", value=0), "value"),
        ("att-1", "Attachment", {"data": "aGk=", "contentType": "text/plain"}, {"data": "aGk="}, "contentType"),
        ("cnt-3", "Count", measured("1"), measured(None), "code"),
        ("cnt-3", "Count", measured("1"), measured("kg"), "code"),
        ("cnt-3", "Count", measured("1"), measured("1", system="urn:x"), "system"),
        ("cnt-3", "Count", measured("1", value=3.0), measured("1", value=2.5), "value"),
        ("cpt-2", "ContactPoint", {"value": "1", "system": "phone"}, {"value": "1"}, "system"),
        ("dis-1", "Distance", measured("m"), measured(None), "code"),
        ("dis-1", "Distance", measured("m"), measured("m", system="urn:x"), "system"),
        ("drt-1", "Duration", measured("h"), measured("h", value=None), "value"),
        ("drt-1", "Duration", measured("h"), measured("h", system="urn:x"), "system"),
        (
            "drq-1",
            "DataRequirement",
            {"type": "Patient", "codeFilter": [{"path": "x"}]},
            {"type": "Patient", "codeFilter": [{"path": "x", "searchParam": "y"}]},
            "codeFilter[0]",
        ),
        (
            "drq-2",
            "DataRequirement",
            {"type": "Patient", "dateFilter": [{"path": "x"}]},
            {"type": "Patient", "dateFilter": [{"valueDateTime": "2026"}]},
            "dateFilter[0]",
        ),
        ("exp-1", "Expression", CONDITION, {"language": "text/fhirpath"}, ""),
        ("per-1", "Period", {"start": "2025", "end": "2026"}, {"start": "2026", "end": "2025"}, "end"),
        ("qty-3", "Quantity", measured(), measured(system=None), "system"),
        ("rat-1", "Ratio", {"numerator": ONE, "denominator": TWO}, {"numerator": ONE}, "denominator"),
        ("rat-1", "Ratio", {"extension": [EXTENSION]}, {"denominator": ONE}, "numerator"),
        ("rng-2", "Range", {"low": ONE, "high": ONE}, {"low": TWO, "high": ONE}, "low"),
        ("tim-1", "Timing", timing(duration=1, durationUnit="h"), timing(duration=1), "repeat.durationUnit"),
        ("tim-2", "Timing", timing(period=1, periodUnit="h"), timing(period=1), "repeat.periodUnit"),
        ("tim-4", "Timing", timing(when=["AC"]), timing(duration=-1, durationUnit="h"), "repeat.duration"),
        ("tim-5", "Timing", timing(period=0, periodUnit="h"), timing(period=-0.5, periodUnit="h"), "repeat.period"),
        ("tim-6", "Timing", timing(period=1, periodMax=2, periodUnit="h"), timing(periodMax=2), "repeat.period"),
        ("tim-7", "Timing", timing(when=["AC"]), timing(durationMax=2), "repeat.duration"),
        ("tim-8", "Timing", timing(count=1, countMax=2), timing(countMax=2), "repeat.count"),
        ("tim-9", "Timing", timing(offset=30, when=["ACM"]), timing(offset=30), "repeat.offset"),
        ("tim-9", "Timing", timing(when=["CM"]), timing(offset=30, when=["ACM", "CM"]), "repeat.offset"),
        ("tim-10", "Timing", timing(when=["MORN"]), timing(when=["MORN"], timeOfDay=["08:00:00"]), "repeat.timeOfDay"),
        ("trd-1", "TriggerDefinition", ADDED, ADDED | {"timingDate": "2026"}, "data"),
        ("trd-2", "TriggerDefinition", EVENT, EVENT | {"condition": CONDITION}, "data"),
        ("trd-3", "TriggerDefinition", EVENT, {"type": "named-event"}, "name"),
        ("trd-3", "TriggerDefinition", {"type": "periodic", "timingDate": "2026"}, {"type": "periodic"}, "timing"),
        ("trd-3", "TriggerDefinition", ADDED, {"type": "data-removed"}, "data"),
    ],
)  # fmt: skip
def test_a_rule_of_a_data_type_holds_wherever_the_type_is_used(
    key: str, kind: str, sound: Json, broken: Json, element: str
) -> None:
    expression = f"Parameters.parameter[0].value{kind}.{element}".rstrip(".")
    assert found(holding(kind, sound)) == []
    assert found(holding(kind, broken)) == [(expression, key)]
    patient = {"resourceType": "Patient", "extension": [{"url": "urn:x", f"value{kind}": broken}]}
    assert found(patient) == [(f"Patient.extension[0].value{kind}.{element}".rstrip("."), key)]


PATIENT = {"resourceType": "Patient"}
ECG = ecg_observation()
REQUEST = {"resourceType": "ServiceRequest", "status": "draft", "intent": "proposal", "subject": {"display": "x"}}
OWN = {"code": CODE}
TASK = {"resourceType": "Task", "status": "requested", "intent": "order"}
AUDIT = {
    "resourceType": "AuditEvent",
    "type": {"code": "rest"},
    "recorded": "2026-03-02T09:20:00Z",
    "agent": [{"requestor": True}],
    "source": {"observer": {"display": "x"}},
}
ORGANIZATION = {"resourceType": "Organization"}


@pytest.mark.parametrize(
    ("key", "resource", "sound", "broken", "element"),
    [
        ("pat-1", PATIENT, {"contact": [{"name": {"text": "x"}}]}, {"contact": [{"gender": "male"}]}, "contact[0]"),
        ("obs-3", ECG, {"referenceRange": [{"text": "x"}]}, {"referenceRange": [{"type": CODE}]}, "referenceRange[0]"),
        ("obs-6", ECG, {"dataAbsentReason": CODE}, {"valueString": "x", "dataAbsentReason": CODE}, "dataAbsentReason"),
        ("obs-7", ECG, {"component": [OWN]}, {"component": [OWN], "valueString": "x"}, "component[0].code"),
        ("prr-1", REQUEST, {"orderDetail": [CODE], "code": CODE}, {"orderDetail": [CODE]}, "code"),
        ("sev-1", AUDIT, {"entity": [{"name": "x"}]}, {"entity": [{"name": "x", "query": "aGk="}]}, "entity[0].query"),
        ("inv-1", TASK, {"authoredOn": "2026"}, {"authoredOn": "2026", "lastModified": "2025"}, "lastModified"),
        ("org-1", ORGANIZATION, {"name": "x"}, {"active": True}, ""),
        ("org-2", ORGANIZATION, {"name": "x"}, {"name": "x", "address": [{"use": "home"}]}, "address[0].use"),
        ("org-3", ORGANIZATION, {"name": "x"}, {"name": "x", "telecom": [{"use": "home"}]}, "telecom[0].use"),
    ],
)
def test_a_rule_of_a_resource_type(key: str, resource: Json, sound: Json, broken: Json, element: str) -> None:
    assert found(resource | sound) == []
    assert found(resource | broken) == [(f"{resource['resourceType']}.{element}".rstrip("."), key)]


def test_a_value_that_is_an_extension_only_is_a_value() -> None:
    reason = {"valueString": "x", "dataAbsentReason": CODE}
    without = {"_valueString": {"extension": [EXTENSION]}, "dataAbsentReason": CODE}
    assert found(ecg_observation(**reason)) == found(ecg_observation(**without)) != []
    assert found(holding("ContactPoint", {"value": "1", "_system": {"extension": [EXTENSION]}})) == []


@pytest.mark.parametrize(
    ("parameter", "element"),
    [
        ({"name": "a"}, "parameter[0]"),
        ({"name": "a", "valueString": "x", "resource": PATIENT}, "parameter[0]"),
        ({"name": "a", "part": [{"name": "b"}]}, "parameter[0].part[0]"),
        ({"name": "a", "part": [{"name": "b", "valueCode": "c"}], "valueCode": "d"}, "parameter[0]"),
    ],
)
def test_a_parameter_has_one_content(parameter: Json, element: str) -> None:
    assert found({"resourceType": "Parameters", "parameter": [parameter]}) == [(f"Parameters.{element}", "inv-1")]


@pytest.mark.parametrize(
    ("extension", "element"),
    [
        ({"url": "urn:x"}, "extension[0]"),
        ({"url": "urn:x", "valueString": "y", "extension": [EXTENSION]}, "extension[0]"),
        ({"url": "urn:x", "extension": [{"url": "y"}]}, "extension[0].extension[0]"),
    ],
)
def test_an_extension_has_a_value_or_extensions(extension: Json, element: str) -> None:
    assert found(PATIENT | {"extension": [extension]}) == [(f"Patient.{element}", "ext-1")]
    assert found(PATIENT | {"name": [{"text": "x", "extension": [extension]}]}) == [
        (f"Patient.name[0].{element}", "ext-1")
    ]
    assert found(PATIENT | {"_gender": {"extension": [extension]}}) == [(f"Patient.gender.{element}", "ext-1")]


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"name": [{"id": "a"}]}, "name[0]"),
        ({"_gender": {"id": "a"}}, "gender"),
        ({"extension": [{"url": "urn:x", "valuePeriod": {"id": "a"}}]}, "extension[0].valuePeriod"),
        ({"name": [{"given": ["a"], "_given": [None, {"id": "b"}]}]}, "name[0].given[1]"),
        ({"name": [{"_given": [None]}]}, "name[0].given[0]"),
    ],
)
def test_an_id_alone_is_no_element(change: Json, element: str) -> None:
    assert (f"Patient.{element}", "ele-1") in found(PATIENT | change)


def test_a_resource_of_an_id_alone_is_one() -> None:
    assert found(PATIENT | {"id": "a"}) == []


def test_a_lead_is_asked_about_its_data_types_although_its_samples_are_not_looked_at() -> None:
    ecg = ecg_observation()
    del ecg["component"][3]["valueSampledData"]["origin"]["system"]
    expected = [("Observation.component[3].valueSampledData.origin.system", "qty-3")]
    assert found(ecg) == found(ecg) == expected


CONTAINED = {"resourceType": "Patient", "id": "p"}


@pytest.mark.parametrize(
    ("change", "element", "key"),
    [
        ({"contained": [{"resourceType": "Organization", "name": "x", "id": "o"}]}, "contained", "dom-2"),
        ({"meta": {"versionId": "1"}}, "meta.versionId", "dom-4"),
        ({"meta": {"lastUpdated": "2026-03-02T09:20:00Z"}}, "meta.lastUpdated", "dom-4"),
        ({"meta": {"security": [{"code": "R"}]}}, "meta.security", "dom-5"),
    ],
)
def test_what_is_contained_has_no_life_of_its_own(change: Json, element: str, key: str) -> None:
    nested = ecg_observation(subject={"reference": "#p"}, contained=[CONTAINED | change])
    assert (f"Observation.contained[0].{element}", key) in found(nested)
    tagged = CONTAINED | {"meta": {"tag": [{"code": "x"}]}}
    assert found(ecg_observation(subject={"reference": "#p"}, contained=[tagged])) == []


def test_what_is_contained_is_referred_to_or_refers_to_its_container() -> None:
    assert found(ecg_observation(contained=[CONTAINED])) == [("Observation.contained[0]", "dom-3")]
    questionnaire = {"resourceType": "Questionnaire", "id": "p", "status": "active"}
    task = TASK | {"instantiatesUri": "#p", "contained": [questionnaire]}
    assert found(task) == []
    points_back = {
        "resourceType": "Provenance",
        "id": "p",
        "target": [{"reference": "#"}],
        "recorded": "2026-03-02T09:20:00Z",
    }
    points_back["agent"] = [{"who": {"display": "x"}}]
    assert found(ecg_observation(contained=[points_back])) == []


def test_a_contained_resource_keeps_the_rules_of_its_type_and_data_types() -> None:
    patient = CONTAINED | {"contact": [{"gender": "male"}], "name": [{"period": {"start": "2026", "end": "2025"}}]}
    observation = ecg_observation(subject={"reference": "#p"}, contained=[patient])
    assert set(found(observation)) == {
        ("Observation.contained[0].contact[0]", "pat-1"),
        ("Observation.contained[0].name[0].period.end", "per-1"),
    }


def bundle(type: str, *entries: Json, **members: Any) -> Json:
    return {"resourceType": "Bundle", "type": type, **members} | ({"entry": list(entries)} if entries else {})


GET = {"method": "GET", "url": "Patient/1"}
DONE = {"status": "200"}
DATED = {"identifier": {"system": "urn:x", "value": "1"}, "timestamp": "2026-03-02T09:20:00Z"}
COMPOSITION = {
    "resourceType": "Composition",
    "status": "final",
    "type": CODE,
    "date": "2026",
    "author": [{"display": "x"}],
    "title": "x",
}
FIRST = ({"resource": COMPOSITION},)
FOUND = {"resource": PATIENT, "search": {"mode": "match"}}
HEADER = {"resourceType": "MessageHeader", "eventCoding": {"code": "x"}, "source": {"endpoint": "urn:x"}}


@pytest.mark.parametrize(
    "sound",
    [
        bundle("searchset", FOUND, total=1),
        bundle("history", {"resource": PATIENT, "request": GET, "response": DONE}, total=1),
        bundle("batch", {"request": GET}),
        bundle("transaction-response", {"response": DONE}),
        bundle("document", *FIRST, **DATED),
        bundle("message", {"resource": HEADER}),
        bundle("collection", *({"fullUrl": "urn:x", "resource": PATIENT | {"meta": {"versionId": v}}} for v in "12")),
        bundle("collection", {"resource": PATIENT}, {"resource": PATIENT}),
        bundle("history", *[{"fullUrl": "urn:x", "request": GET, "response": DONE}] * 2),
    ],
)
def test_a_bundle_of_each_kind(sound: Json) -> None:
    assert found(sound) == []


@pytest.mark.parametrize(
    ("key", "broken", "element"),
    [
        ("bdl-1", bundle("collection", total=1), "total"),
        ("bdl-2", bundle("collection", {"resource": PATIENT}, FOUND), "entry[1].search"),
        ("bdl-3", bundle("transaction", {"request": GET}, {"resource": PATIENT}), "entry[1].request"),
        ("bdl-3", bundle("collection", {"resource": PATIENT, "request": GET}), "entry[0].request"),
        ("bdl-4", bundle("batch-response", {"resource": PATIENT}), "entry[0].response"),
        ("bdl-4", bundle("searchset", {"resource": PATIENT, "response": DONE}), "entry[0].response"),
        ("bdl-5", bundle("collection", {"fullUrl": "urn:x"}), "entry[0]"),
        ("bdl-7", bundle("collection", *[{"fullUrl": "urn:x", "resource": PATIENT}] * 2), "entry[1].fullUrl"),
        ("bdl-8", bundle("collection", {"fullUrl": "urn:x/_history/2", "resource": PATIENT}), "entry[0].fullUrl"),
        ("bdl-9", bundle("document", *FIRST, **DATED | {"identifier": {"value": "1"}}), "identifier.system"),
        ("bdl-9", bundle("document", *FIRST, **DATED | {"identifier": {"system": "urn:x"}}), "identifier.value"),
        ("bdl-10", bundle("document", *FIRST, identifier=DATED["identifier"]), "timestamp"),
        ("bdl-11", bundle("document", {"resource": PATIENT}, *FIRST, **DATED), "entry[0].resource"),
        ("bdl-12", bundle("message", {"resource": PATIENT}), "entry[0].resource"),
        ("bdl-12", bundle("message"), "entry[0].resource"),
    ],
)
def test_a_rule_of_bundles(key: str, broken: Json, element: str) -> None:
    assert found(broken) == [(f"Bundle.{element}", key)]


def period(start: str, end: str) -> list[tuple[str, str]]:
    return found(holding("Period", {"start": start, "end": end}))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026", "2026-01-01"),
        ("2026-03-02", "2026-03"),
        ("2026-03-02T23:30:00-05:00", "2026-03-02"),
        ("2026-03-02", "2026-03-01T23:30:00Z"),  # where the day had begun already
        ("2026-03-02", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ],
)
def test_a_period_that_may_be_in_order_is_accepted(start: str, end: str) -> None:
    assert period(start, end) == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-02", "2026-02"),
        ("2026-03-02", "2026-02-28T23:30:00Z"),
        ("2026-03-04T23:30:00Z", "2026-03-02"),
        ("2026-03-02T10:00:00+01:00", "2026-03-02T08:59:59Z"),
    ],
)
def test_a_period_that_ends_before_it_starts_is_refused(start: str, end: str) -> None:
    assert period(start, end) == [("Parameters.parameter[0].valuePeriod.end", "per-1")]


CENTURIES = 200 * 365 * 24 * 3600
times = st.integers(0, CENTURIES).map(lambda seconds: datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
zones = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
WRITTEN_LENGTHS = (4, 7, 10, None)


@given(times, times, zones, zones)
def test_times_are_compared_whatever_their_zones(
    start: datetime, end: datetime, one: timezone, other: timezone
) -> None:
    broken = period(start.astimezone(one).isoformat(), end.astimezone(other).isoformat())
    assert bool(broken) is (start > end)


@given(times, times, zones, st.sampled_from(WRITTEN_LENGTHS), st.sampled_from(WRITTEN_LENGTHS))
def test_a_period_in_order_stays_so_however_little_of_it_is_written(
    one: datetime, other: datetime, zone: timezone, start_length: int | None, end_length: int | None
) -> None:
    start, end = (at.astimezone(zone).isoformat() for at in sorted((one, other)))
    assert period(start[:start_length], end[:end_length]) == []


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["mm", "cm"]))
def test_a_range_is_compared_in_one_unit_only(low: float, high: float, unit: str) -> None:
    limits = {"low": {"value": low, "unit": "mm"}, "high": {"value": high, "unit": unit}}
    assert bool(found(holding("Range", limits))) is (unit == "mm" and low > high)
