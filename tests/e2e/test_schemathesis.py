"""Schemathesis, a fuzzer of others, over what `/openapi.json` says: each operation gets requests at and beyond every
limit of its description, and random ones. The bodies that are described as any object get a valid one to begin with.

It runs as a process of its own, with a fixed seed, and writes down every exchange.
"""

import base64
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bodies import HOOK_SERVICE, METHODS, Door, door
from tests.e2e.doors import FHIR_JSON
from tests.interop.valid import valid

__all__ = ["door"]

pytestmark = pytest.mark.slow

SEED = 20260302
EXAMPLES = 2  # random requests of each operation; the limits of its description come on top
SECONDS = 100
COMMAND = (
    sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", f"--seed={SEED}", f"--max-examples={EXAMPLES}",
    "--phases=examples,coverage,fuzzing", "--checks=not_a_server_error", "--continue-on-failure",
    # Two would meet a defect of Python before 3.11.8: ast.parse in one thread upsets the other (gh-106905).
    "--workers=1",
    "--generation-database=none", "--output-sanitize=false", "--no-color", "--warnings=off",
    "--report=ndjson", "--report-ndjson-path=report.ndjson",
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """One exchange. operation: method and path of the description. body: of the answer."""

    operation: str
    method: str
    status: int
    headers: Mapping[str, list[str]]
    body: bytes


def described(door: Door) -> dict[str, Any]:
    """The service's description, with an example of each body and each id."""
    found: dict[str, Any] = door.http.get("/openapi.json").json()
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["example"] = door.seed(method.upper(), path)
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "id":
                    parameter["example"] = door.name(path)
                elif parameter["name"] == "service":
                    parameter["example"] = HOOK_SERVICE
    return found


def exchanges(report: Path) -> Iterator[Sent]:
    for line in report.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for one in recorder.get("interactions", {}).values():
            answer = one["response"]
            assert answer is not None, one["request"]
            body = base64.b64decode((answer["content"] or {"$base64": ""})["$base64"])
            yield Sent(recorder["label"], one["request"]["method"], answer["status_code"], answer["headers"], body)


@pytest.fixture(scope="module")
def sent(door: Door, tmp_path_factory: pytest.TempPathFactory) -> list[Sent]:
    """All exchanges of one run, which met no failure of the service."""
    folder = tmp_path_factory.mktemp("schemathesis")
    (folder / "openapi.json").write_text(json.dumps(described(door)))
    command = (*COMMAND, f"--url={door.http.base_url}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return list(exchanges(folder / "report.ndjson"))


def test_every_operation_was_asked(sent: list[Sent], door: Door) -> None:
    paths = door.http.get("/openapi.json").json()["paths"]
    operations = {f"{method.upper()} {path}" for path, found in paths.items() for method in found}
    assert {one.operation for one in sent} == operations


def test_bodies_were_taken_and_refused_by_every_method(sent: list[Sent]) -> None:
    outcomes = Counter((one.method, one.status // 100) for one in sent)
    assert min(outcomes[method, kind] for method in METHODS for kind in (2, 4)) > 5, outcomes


def test_nothing_fails_and_every_refusal_says_why(sent: list[Sent]) -> None:
    for one in sent:
        assert one.status < 500, one
        if one.status >= 400 and " /fhir" in one.operation and one.method != "HEAD":
            assert one.headers["content-type"] == [FHIR_JSON], one
            valid("OperationOutcome", one.body)
