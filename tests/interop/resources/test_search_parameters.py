import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from interop.fhir.parameters import INTERACTIONS
from interop.resources import search_parameters
from interop.resources.search_parameters import INDEX_DEFINITIONS, SEARCH_PARAMETERS, Kind, SearchParameter
from interop.resources.validation import DEFINITIONS

CASES = [
    pytest.param(kind, parameter, id=f"{kind}-{name}")
    for kind, parameters in SEARCH_PARAMETERS.items()
    for name, parameter in parameters.items()
]

# What a parameter of each kind may look at (search.html section 3.1.1.4.3); a string also at every text in a datatype.
TYPES = {
    Kind.TOKEN: {"code", "boolean", "string", "uri", "CodeableConcept", "Coding", "Identifier", "ContactPoint"},
    Kind.REFERENCE: {"Reference"},
    Kind.DATE: {"date", "dateTime", "instant", "Period", "Timing"},
    Kind.STRING: {"string", "markdown", "HumanName", "Address"},
    Kind.QUANTITY: {"Quantity", "SampledData"},
}

# Of search_parameters.json at INDEX_REVISION.
RELEASED = "f8bc6e7d25df6d7cec613267d9e7850400277af568afa69df01708f60ed7d40b"


def elements(type: str, path: str) -> Iterator[dict[str, Any]]:
    """The definition of every element on a path."""
    within: dict[str, Any] = DEFINITIONS[type]
    for name in path.split("."):
        element = within[name]
        yield element
        within = element.get("elements") or DEFINITIONS.get(element.get("type", ""), {})


@pytest.mark.parametrize(("type", "parameter"), CASES)
def test_a_parameter_looks_at_elements_that_exist_and_suit_its_kind(type: str, parameter: SearchParameter) -> None:
    assert parameter.paths
    for path in parameter.paths:
        *_, last = elements(type, path)
        assert last["type"] in TYPES[parameter.kind], (path, last["type"])


@pytest.mark.parametrize(("type", "parameter"), CASES)
def test_a_reference_has_targets_that_its_elements_may_lead_to(type: str, parameter: SearchParameter) -> None:
    if parameter.kind is not Kind.REFERENCE:
        assert parameter.targets == ()
        return
    possible = {target for path in parameter.paths for target in list(elements(type, path))[-1].get("targets", ())}
    # The registry names the targets of all types that have the parameter, so that some fit others only.
    assert not possible or possible & set(parameter.targets)


@pytest.mark.parametrize(("type", "parameter"), CASES)
def test_a_parameter_is_that_of_the_registry_or_one_of_ours(type: str, parameter: SearchParameter) -> None:
    assert SEARCH_PARAMETERS[type][parameter.name] is parameter
    assert parameter.url.startswith(("http://hl7.org/fhir/SearchParameter/", "urn:ecg-interop:searchparameter:"))
    assert parameter.url.rpartition("-")[2] == parameter.name.rpartition("-")[2]


@pytest.mark.parametrize(("type", "parameter"), CASES)
def test_parameters_share_their_rows_just_where_they_look_at_the_same(type: str, parameter: SearchParameter) -> None:
    def looks_at(one: SearchParameter) -> tuple[object, ...]:
        return one.kind, one.paths, one.system

    for other in SEARCH_PARAMETERS[type].values():
        assert (other.row_name == parameter.row_name) is (looks_at(other) == looks_at(parameter))


def test_patient_is_another_name_of_the_rows_of_subject() -> None:
    for kind in ("Observation", "DiagnosticReport", "ServiceRequest", "DocumentReference"):
        patient = SEARCH_PARAMETERS[kind]["patient"]
        assert (patient.row_name, patient.targets) == ("subject", ("Patient",))


def test_every_served_type_has_parameters() -> None:
    assert set(INTERACTIONS) <= set(SEARCH_PARAMETERS)


def test_dates_and_quantities_are_ranges_and_nothing_else_is() -> None:
    assert {kind for kind in Kind if kind.ranges} == {Kind.DATE, Kind.QUANTITY}


def test_other_definitions_have_a_revision_of_their_own() -> None:
    """During a rolling update the higher one's rows are kept. What fails here: raise INDEX_REVISION, then note it."""
    content = resources.files("interop.resources").joinpath("search_parameters.json").read_bytes()
    assert (INDEX_DEFINITIONS.revision, hashlib.sha256(content).hexdigest()) == (2, RELEASED)


def test_the_digest_changes_with_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert search_parameters._load()[1] == INDEX_DEFINITIONS
    monkeypatch.setattr(search_parameters, "INDEX_REVISION", INDEX_DEFINITIONS.revision + 1)
    made = search_parameters._load()[1]
    assert (made.revision, made.digest == INDEX_DEFINITIONS.digest) == (INDEX_DEFINITIONS.revision + 1, False)
