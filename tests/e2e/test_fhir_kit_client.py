"""fhir-kit-client (npm), a FHIR client of others, through a whole visit; `clients/visit.mjs` tells what it saw."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.conftest import Service
from tests.e2e.npm import installed
from tests.e2e.visit import ecg, patient, visit

HARNESS = Path(__file__).parent / "clients"
SECONDS = 60


@pytest.fixture(scope="module")
def seen(service: Service, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What one run of the program printed."""
    folder = installed(request.config, "fhir-clients", HARNESS / "package.json")
    shutil.copy(HARNESS / "visit.mjs", folder)  # node looks for packages beside the script
    done = subprocess.run(
        ("node", "visit.mjs", f"{service.url}/fhir"),
        input=orjson.dumps({"patient": patient(), "ecg": ecg("Patient/none"), "transaction": visit()}),
        cwd=folder, capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def test_it_reads_what_the_service_can_do(seen: dict[str, Any]) -> None:
    assert seen["fhirVersion"] == "4.0.1"


def test_a_create_on_a_condition_creates_once(seen: dict[str, Any], service: Service) -> None:
    created = seen["created"]
    assert created["first"] == created["again"]
    assert created["etag"] == 'W/"1"'
    assert created["location"] == f"{service.url}/fhir/Patient/{created['first']}/_history/1"


def test_the_link_of_an_ecg_leads_to_its_report(seen: dict[str, Any]) -> None:
    report = seen["report"]
    assert (report["status"], report["subject"]["reference"]) == ("preliminary", f"Patient/{seen['created']['first']}")
    assert report["result"][0] == {"reference": f"Observation/{seen['made']}"}
    assert "infarction" in report["conclusion"]


def test_pages_by_post_give_what_one_search_by_get_gives(seen: dict[str, Any]) -> None:
    found = seen["found"]
    assert set(found["sizes"][:-1]) == {3}
    assert found["ids"] == found["whole"]
    assert seen["made"] in found["ids"]


def test_a_patch_confirms_a_report_only_with_the_version_that_was_read(seen: dict[str, Any]) -> None:
    overread = seen["overread"]
    assert overread["blind"]["status"] == 412
    assert overread["statuses"] == ["preliminary", "final"]
    assert overread["versions"] == ['W/"2"', 'W/"1"']
    assert set(overread["proposals"]) == {"active"}


def test_a_transaction_stores_and_a_batch_reads_and_each_entry_has_its_answer(seen: dict[str, Any]) -> None:
    bundles = seen["bundles"]
    assert [entry["response"]["status"] for entry in bundles["stored"]["entry"]] == ["201 Created"] * 2
    new, made, absent = bundles["read"]["entry"]
    assert made["resource"]["subject"]["reference"] == f"Patient/{new['resource']['id']}"
    assert absent["response"]["status"] == "404 Not Found"


def test_it_updates_and_deletes_and_is_told_what_went_wrong(seen: dict[str, Any]) -> None:
    changed = seen["changed"]
    assert changed["updated"] == {"id": seen["created"]["first"], "etag": 'W/"2"'}
    assert changed["removed"] == 204
    refused = changed["refused"]
    assert {name: one["status"] for name, one in refused.items()} == {"other": 400, "invalid": 422, "gone": 410}
    assert {one["outcome"]["resourceType"] for one in refused.values()} == {"OperationOutcome"}
    assert refused["invalid"]["outcome"]["issue"][0]["expression"] == ["Patient.gender"]
