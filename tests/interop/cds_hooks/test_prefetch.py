"""What is known of a patient from a call, and what is read from the EHR where it does not bring it."""

import asyncio
from typing import Any

import orjson
import pytest

from inference.errors import DataMissing, InvalidContent
from interop.cds_hooks.prefetch import Told, gather, read_by_clinician
from interop.cds_hooks.request import read_call
from interop.cds_hooks.services import Hook
from tests.interop.cds_hooks.hooks import PATIENT, bundle, call, ecg

OUTCOME = {"resourceType": "OperationOutcome", "issue": []}
BARE = {name: value for name, value in ecg().items() if name != "component"} | {"component": [{"code": {}}]}


class Ehr:
    """Knows some resources by their query; fails at others."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, query: str) -> Any:
        self.asked.append(query)
        name = "patient" if query.startswith("Patient/") else "ecgs"
        if name not in self.answers:
            raise DataMissing("the FHIR server answered 404")
        return self.answers[name]


def told(prefetch: dict[str, Any], ehr: Ehr | None = None) -> Told:
    body = read_call(orjson.dumps(call(prefetch=prefetch)), Hook.PATIENT_VIEW)
    return asyncio.run(gather(body, ehr))


def test_what_is_in_the_prefetch_is_not_read_again() -> None:
    ehr = Ehr()
    found = told({"patient": PATIENT, "ecgs": bundle(BARE)}, ehr)
    assert ehr.asked == []
    assert (found.patient, found.ecgs, found.missing) == (PATIENT, (BARE,), None)
    assert [one.key for one in found.identifiers] == ["urn:oid:2.16.1|4711"]


@pytest.mark.parametrize("prefetch", [{}, {"patient": OUTCOME, "ecgs": OUTCOME}])
def test_what_is_missing_is_read_from_the_ehr(prefetch: dict[str, Any]) -> None:
    ehr = Ehr(patient=PATIENT, ecgs=bundle(BARE))
    found = told(prefetch, ehr)
    assert (found.patient, found.ecgs, found.missing) == (PATIENT, (BARE,), None)
    assert "Patient/p-1" in ehr.asked
    assert any(query.startswith("Observation?patient=p-1&code=") for query in ehr.asked)


def test_null_is_an_answer() -> None:
    ehr = Ehr()
    found = told({"patient": None, "ecgs": None}, ehr)
    assert (found.patient, found.ecgs, found.missing, ehr.asked) == (None, (), None, [])


def test_what_could_not_be_had_says_why() -> None:
    found = told({"patient": PATIENT}, Ehr())
    assert found.ecgs is None
    assert found.missing is not None
    assert found.missing.message == "prefetch.ecgs is missing, and the FHIR server answered 404"
    found = told({"ecgs": None})
    assert (found.patient, found.ecgs) == (None, ())
    assert found.missing is not None
    assert "names no fhirServer" in found.missing.message


@pytest.mark.parametrize(
    "other",
    [
        BARE | {"status": "entered-in-error"},
        BARE | {"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}},
        BARE | {"code": "text"},
        BARE | {"component": []},
        BARE | {"resourceType": "Condition"},
    ],
)
def test_only_ecgs_that_stand_are_looked_at(other: dict[str, Any]) -> None:
    assert told({"patient": None, "ecgs": bundle(other, BARE, other)}).ecgs == (BARE,)


def test_entries_of_no_form_are_passed_over_and_a_bundle_of_none_is_refused() -> None:
    broken = {"resourceType": "Bundle", "entry": [None, 3, {"resource": 4}, {"resource": BARE}]}
    assert told({"patient": None, "ecgs": broken}).ecgs == (BARE,)
    with pytest.raises(InvalidContent):
        told({"patient": None, "ecgs": {"resourceType": "Bundle", "entry": {}}})


@pytest.mark.parametrize(
    ("report", "is_read"),
    [
        ({"status": "final", "result": [{"reference": "Observation/o-1"}]}, True),
        ({"status": "amended", "result": [{"reference": "https://ehr.example/fhir/Observation/o-1"}]}, True),
        ({"status": "preliminary", "result": [{"reference": "Observation/o-1"}]}, False),
        ({"status": "final", "result": [{"reference": "Observation/o-11"}]}, False),
        ({"status": "final", "result": "Observation/o-1"}, False),
        ({"status": "final"}, False),
    ],
)
def test_a_report_of_a_clinician_is_one_that_is_verified_and_has_the_ecg_as_a_result(
    report: dict[str, Any], is_read: bool
) -> None:
    assert read_by_clinician([report], BARE) is is_read
