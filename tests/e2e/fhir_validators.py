"""Two FHIR validators that the project did not write, in one process of node.

They are the npm packages @medplum/core (structure, invariants, profiles) and fhir (structure, required bindings,
targets of references); `validators/check.mjs` asks both. They are installed once into pytest's cache.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import orjson
import pytest

__all__ = ["Validators", "started", "validators"]

HARNESS = Path(__file__).parent / "validators"
PROFILES = Path(__file__).resolve().parents[2] / "interop" / "resources" / "profiles"
TOOLS = ("node", "npm")
INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
INSTALL_SECONDS = 100


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
    """The validators, installed in a folder. Skips the test where they cannot be; under CI that is a failure."""
    _install(folder)
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
    """The folder in pytest's cache that holds the packages."""
    assert config.cache is not None
    return config.cache.mkdir("fhir-validators")


def _install(folder: Path) -> None:
    """Once for each content of package.json."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        _unavailable(f"the FHIR validators need {' and '.join(missing)}")
    wanted, done = (HARNESS / "package.json").read_bytes(), folder / ".installed"
    if done.exists() and done.read_bytes() == wanted:
        return
    (folder / "package.json").write_bytes(wanted)
    npm = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if npm.returncode:
        _unavailable(f"npm could not install the FHIR validators: {npm.stderr.strip()[:400]}")
    done.write_bytes(wanted)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
