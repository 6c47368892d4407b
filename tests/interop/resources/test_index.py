from interop.resources.index import SEARCH_PARAMETERS, index_rows
from interop.resources.validation import DEFINITIONS
from tests.interop.resources.cases import ecg_observation


def rows(**changes: object) -> set[tuple[str, str, str | None]]:
    return {(row.name, row.value, row.system) for row in index_rows(ecg_observation(id="o", **changes))}


def test_an_observation_is_found_by_all_its_parameters() -> None:
    assert rows() == {
        ("identifier", "ECG-1", "urn:oid:1.2.3"),
        ("subject", "Patient/1", None),
        ("code", "11524-6", "http://loinc.org"),
        ("status", "final", None),
        ("date", "2026-03-02T09:20:00.120Z", None),
    }


def test_a_reference_is_found_by_its_identifier_too() -> None:
    found = rows(subject={"reference": "Patient/1/_history/4", "identifier": {"system": "urn:oid:1.2", "value": "77"}})
    assert ("subject", "Patient/1", None) in found
    assert ("subject:identifier", "77", "urn:oid:1.2") in found


def test_a_reference_within_the_resource_is_no_row() -> None:
    assert not {row for row in rows(subject={"reference": "#p"}) if row[0] == "subject"}


def test_a_period_is_found_by_its_start() -> None:
    assert ("date", "2026-03-02T10:00:00.000Z", None) in rows(
        effectiveDateTime=None, effectivePeriod={"start": "2026-03-02T10:00:00Z"}
    )


def test_every_parameter_looks_at_elements_that_exist() -> None:
    for resource_type, parameters in SEARCH_PARAMETERS.items():
        for _, elements in parameters.values():
            assert set(elements) <= set(DEFINITIONS[resource_type])
