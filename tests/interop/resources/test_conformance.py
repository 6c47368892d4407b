import re
from importlib import resources as packaged
from pathlib import Path
from typing import Any

import orjson
import pytest

from inference.errors import NotFound
from inference.labels import CONCLUSION_CODES, ECG_NORMAL, SUPERCLASS_NAMES
from inference.lead_codes import LEAD_CODES
from inference.prediction import ModelStatus
from inference.recording import MAX_SAMPLING_RATE, MIN_SAMPLING_RATE
from inference.units import to_millivolt
from interop.resources import codes
from interop.resources.conformance import by_url, resource, resources, supported_profiles
from interop.resources.documents import SILENT_TAG
from interop.resources.findings import MEASUREMENTS
from interop.resources.sampled_data import MILLISECONDS
from interop.resources.search_parameters import SEARCH_PARAMETERS
from interop.resources.validation import ID
from tests.interop.valid import valid

ROOT = Path(__file__).resolve().parents[3]
EVERY = [item for by_id in resources().values() for item in by_id.values()]
PROFILES = list(resources()["StructureDefinition"].values())
OWN = re.compile(r"urn:ecg-interop:(?:profile|extension|codesystem|valueset|searchparameter|operation):[A-Za-z-]+")

every_resource = pytest.mark.parametrize("item", EVERY, ids=lambda item: item["url"])
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda item: item["id"])


def listed(value_set: str) -> set[tuple[str, str]]:
    """(system, code) of what a value set names."""
    include = resource("ValueSet", value_set)["compose"]["include"]
    return {(part["system"], concept["code"]) for part in include for concept in part["concept"]}


@every_resource
def test_each_is_valid_by_the_model_classes(item: dict[str, Any]) -> None:
    valid(item["resourceType"], orjson.dumps(item))


@every_resource
def test_each_says_what_it_is(item: dict[str, Any]) -> None:
    assert ID.fullmatch(item["id"])
    assert OWN.fullmatch(item["url"])
    assert (item["version"], item["status"], item["experimental"]) == ("1.0.0", "active", True)
    assert all(item[member] for member in ("name", "date", "publisher", "description"))


@every_resource
def test_codes_of_others_come_with_their_copyright(item: dict[str, Any]) -> None:
    own_text = orjson.dumps({name: value for name, value in item.items() if name not in ("copyright", "snapshot")})
    for system, owner in ((codes.LOINC, "LOINC"), (ECG_NORMAL.system, "SNOMED"), (codes.MDC, "11073")):
        assert (system.encode() not in own_text) or owner in item["copyright"]


def test_files_are_named_by_type_and_id_and_urls_are_there_once() -> None:
    files = {file.name for file in packaged.files("interop.resources").joinpath("profiles").iterdir()}
    assert files == {f"{item['resourceType']}-{item['id']}.json" for item in EVERY}
    assert len({item["url"] for item in EVERY}) == len(EVERY) == len(files)


def test_every_name_of_our_own_that_is_used_is_defined() -> None:
    used = {name for item in EVERY for name in OWN.findall(orjson.dumps(item).decode())}
    assert used == {item["url"] for item in EVERY}


@every_profile
def test_a_snapshot_has_all_that_the_differential_says(profile: dict[str, Any]) -> None:
    elements = {element["id"]: element for element in profile["snapshot"]["element"]}
    assert len(elements) == len(profile["snapshot"]["element"])
    for change in profile["differential"]["element"]:
        whole = elements[change["id"]]
        for name, value in change.items():
            if name == "constraint":
                assert {rule["key"] for rule in value} <= {rule["key"] for rule in whole[name]}
            else:
                assert whole[name] == value


@every_profile
def test_a_snapshot_says_where_each_constraint_comes_from(profile: dict[str, Any]) -> None:
    rules = [rule for element in profile["snapshot"]["element"] for rule in element.get("constraint", ())]
    assert all(rule["source"].startswith((profile["url"], "http://hl7.org/fhir/")) for rule in rules)
    assert profile["url"] in {rule["source"] for rule in rules} or profile["id"] in (
        "analysing-device", "model-waiver", "ecg-measurement", "decided-by", "overread-reason",
    )  # fmt: skip


def test_one_is_found_by_type_and_id() -> None:
    assert resource("CodeSystem", "tag")["url"] == codes.OWN_TAGS


@pytest.mark.parametrize(("type", "id"), [("CodeSystem", "none"), ("Patient", "tag")])
def test_what_is_not_there_is_not_found(type: str, id: str) -> None:
    with pytest.raises(NotFound, match=id):
        resource(type, id)


def test_one_is_found_by_its_canonical_url_with_or_without_version() -> None:
    found = resource("CodeSystem", "tag")
    assert by_url("CodeSystem", codes.OWN_TAGS) == by_url("CodeSystem", f"{codes.OWN_TAGS}|1.0.0") == found
    assert by_url("CodeSystem", f"{codes.OWN_TAGS}|2.0.0") is None
    assert by_url("ValueSet", codes.OWN_TAGS) is None
    assert by_url("Patient", codes.OWN_TAGS) is None


def test_profiles_are_listed_by_the_type_that_they_are_on() -> None:
    types = ("Observation", "DiagnosticReport", "ServiceRequest", "Provenance", "Device")
    assert {name: supported_profiles(name) for name in types} == {
        "Observation": [f"urn:ecg-interop:profile:ecg-{n}" for n in ("measurement", "probabilities", "waveform")],
        "DiagnosticReport": ["urn:ecg-interop:profile:ecg-report"],
        "ServiceRequest": ["urn:ecg-interop:profile:ecg-proposal"],
        "Provenance": ["urn:ecg-interop:profile:ecg-provenance"],
        "Device": ["urn:ecg-interop:profile:ecg-model"],
    }
    assert supported_profiles("Patient") == []


def test_value_sets_hold_the_codes_that_the_service_uses() -> None:
    assert listed("ecg-codes") == codes.ECG_CODES
    assert listed("ecg-leads") == {(system, code) for system in codes.MDC_SYSTEMS for code in LEAD_CODES}
    assert listed("measurements") == {(codes.LOINC, item.loinc[0]) for item in MEASUREMENTS if item.loinc}
    conclusions = (ECG_NORMAL, *CONCLUSION_CODES.values())
    assert listed("conclusions") == {(code.system, code.code) for code in conclusions}


def test_lead_codes_are_shown_as_the_leads_that_they_are() -> None:
    for part in resource("ValueSet", "ecg-leads")["compose"]["include"]:
        assert {concept["code"]: concept["display"] for concept in part["concept"]} == LEAD_CODES


def test_every_unit_of_the_value_set_and_of_the_rule_is_taken() -> None:
    units = {unit for _, unit in listed("voltage-units")}
    assert all(to_millivolt(unit) for unit in units)
    assert units == set(re.findall(r"'(\w+)'", rule("ecg-waveform", "ecg-6")))


def test_the_rule_for_codes_of_an_ecg_names_those_of_the_value_set() -> None:
    named = set(re.findall(r"'([^']+)'", rule("ecg-waveform", "ecg-4")))
    assert named == {part for pair in codes.ECG_CODES for part in pair}


def test_the_sampling_rates_are_those_that_are_taken() -> None:
    (period,) = (it for it in snapshot("ecg-waveform") if it["id"].endswith(".period") and "minValueDecimal" in it)
    limits = (MILLISECONDS / MAX_SAMPLING_RATE, MILLISECONDS / MIN_SAMPLING_RATE)
    assert (period["minValueDecimal"], period["maxValueDecimal"]) == limits
    assert tuple(map(float, re.findall(r"[\d.]+", rule("ecg-waveform", "ecg-7")))) == limits


def snapshot(profile: str) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = resource("StructureDefinition", profile)["snapshot"]["element"]
    return elements


def rule(profile: str, key: str) -> str:
    """The FHIRPath expression of a constraint."""
    (found,) = (it for element in snapshot(profile) for it in element.get("constraint", ()) if it["key"] == key)
    expression: str = found["expression"]
    return expression


def test_code_systems_define_what_is_sent() -> None:
    def displays(id: str) -> dict[str, str]:
        found = resource("CodeSystem", id)
        assert found["count"] == len(found["concept"])
        assert all(concept["definition"] for concept in found["concept"])
        return {concept["code"]: concept["display"] for concept in found["concept"]}

    assert displays("superclass") == {superclass.value: name for superclass, name in SUPERCLASS_NAMES.items()}
    assert displays("tag") == {SILENT_TAG["code"]: SILENT_TAG["display"]}
    assert set(displays("model-status")) == {status.value for status in ModelStatus}


def test_code_systems_and_extensions_have_the_names_that_are_sent() -> None:
    assert by_url("CodeSystem", codes.OWN_SUPERCLASSES)
    for name in (codes.OWN_DEVICE_EXTENSION, codes.OWN_MODEL_STATUS_EXTENSION, codes.OWN_MODEL_WAIVER_EXTENSION):
        found = by_url("StructureDefinition", name)
        assert found
        (url,) = (element for element in found["snapshot"]["element"] if element["id"] == "Extension.url")
        assert url["fixedUri"] == name


def test_a_search_parameter_of_our_own_looks_where_the_index_does() -> None:
    served = {it.url: (name, it) for name, by_name in SEARCH_PARAMETERS.items() for it in by_name.values()}
    own = {url: found for url, found in served.items() if OWN.fullmatch(url)}
    assert own.keys() == {item["url"] for item in resources()["SearchParameter"].values()}
    for url, (name, parameter) in own.items():
        found = by_url("SearchParameter", url)
        assert found
        assert (found["base"], found["code"], found["type"]) == ([name], parameter.name, parameter.kind)
        assert found["expression"] == " | ".join(f"{name}.{path}" for path in parameter.paths)
        assert tuple(found["target"]) == parameter.targets


def test_the_document_names_all_of_them_and_nothing_else() -> None:
    assert set(OWN.findall((ROOT / "docs/profiles.md").read_text())) == {item["url"] for item in EVERY}
