from datetime import UTC, datetime

import pytest

from interop.fhir import audit_events, definitions
from interop.fhir.capability import statement
from interop.fhir.parameters import INTERACTIONS, Interaction, parameters
from tests.interop.valid import valid

DATE = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def document() -> bytes:
    return statement("http://ecg.example/fhir", "0.1.0", DATE)


def test_the_statement_is_valid_fhir(document: bytes) -> None:
    found = valid("CapabilityStatement", document)
    assert found.fhirVersion == "4.0.1"
    assert found.kind == "instance"
    assert found.implementation.url == "http://ecg.example/fhir"


def test_every_served_type_is_there_once_with_its_interactions_and_parameters(document: bytes) -> None:
    (rest,) = valid("CapabilityStatement", document).rest
    served = {r.type: tuple(i.code for i in r.interaction) for r in rest.resource}
    assert len(rest.resource) == len(served)
    read_only = dict.fromkeys((*definitions.TYPES, audit_events.TYPE), ("read", "search-type"))
    assert served == {**INTERACTIONS, **read_only}
    for resource in (r for r in rest.resource if r.type in INTERACTIONS and r.searchParam):
        assert [p.name for p in resource.searchParam] == list(parameters(resource.type))


def test_only_what_can_be_created_promises_conditional_creation(document: bytes) -> None:
    (rest,) = valid("CapabilityStatement", document).rest
    for resource in (r for r in rest.resource if r.type in INTERACTIONS):
        assert resource.conditionalCreate is (Interaction.CREATE in INTERACTIONS[resource.type])
