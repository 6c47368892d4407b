"""Two FHIR validators that the project did not write, in one process of node.

They are the npm packages @medplum/core (structure, invariants, profiles) and fhir (structure, required bindings,
targets of references); `validators/check.mjs` asks both.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.e2e.npm import installed

__all__ = ["Validators", "started", "validators"]

HARNESS = Path(__file__).parent / "validators"
PROFILES = Path(__file__).resolve().parents[2] / "interop" / "resources" / "profiles"


class Validators:
    """The running process. Use `started`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def check(self, resource_json: bytes, profiles: Sequence[str] = ()) -> list[str]:
        """What is wrong with a resource by R4 itself, by its extensions and by profiles (canonical URLs); empty when it
        is valid by both validators."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"resource": orjson.loads(resource_json), "profiles": list(profiles)}
        self._process.stdin.write(orjson.dumps(request) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"node exited with {self._process.wait()}"
        issues: list[str] = orjson.loads(answer)["issues"]
        return issues


@contextmanager
def started(folder: Path) -> Iterator[Validators]:
    """The validators, of the packages in a folder."""
    shutil.copy(HARNESS / "check.mjs", folder)  # node looks for packages beside the script
    command = ("node", "check.mjs", str(PROFILES))
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Validators(process)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def validators(request: pytest.FixtureRequest) -> Iterator[Validators]:
    """One process for all tests."""
    with started(installed_in(request.config)) as running:
        yield running


def installed_in(config: pytest.Config) -> Path:
    """The folder in pytest's cache that holds the packages. Skips the test where they cannot be installed."""
    return installed(config, "fhir-validators", HARNESS / "package.json")
