import pytest

from interop.fhir.parameters import (
    EVERYWHERE,
    GENERAL,
    INTERACTIONS,
    NOTES,
    OF_THE_ANSWER,
    Interaction,
    parameter,
    parameters,
)
from interop.resources.search_parameters import SEARCH_PARAMETERS


@pytest.mark.parametrize("type", sorted(INTERACTIONS))
def test_a_type_has_its_own_parameters_and_those_of_every_type(type: str) -> None:
    found = parameters(type)
    assert set(found) == {*SEARCH_PARAMETERS[type], "_id", "_lastUpdated", "_tag"}
    assert all(parameter(type, name) is one for name, one in found.items())
    assert parameter(type, "colour") is None


def test_what_steers_a_search_is_no_parameter_of_a_type() -> None:
    assert OF_THE_ANSWER < GENERAL
    for kind in INTERACTIONS:
        assert not GENERAL & set(parameters(kind))


def test_the_parameters_of_every_type_look_at_no_element() -> None:
    assert all(one.paths == () and one.row_name == name for name, one in EVERYWHERE.items())


def test_every_note_is_about_a_parameter_that_there_is() -> None:
    assert all(parameter(kind, name) for kind, name in NOTES)


@pytest.mark.parametrize("type", sorted(INTERACTIONS))
def test_what_can_be_found_can_be_read(type: str) -> None:
    assert len(set(INTERACTIONS[type])) == len(INTERACTIONS[type])
    assert Interaction.READ in INTERACTIONS[type] or Interaction.SEARCH not in INTERACTIONS[type]
