"""The README's examples, run as they stand there against a running service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Service

FIRST = "convert examples/00184_hr.hea --to fhir"
EXPECTED = (
    (FIRST, ("201 Created", '"resourceType":"DiagnosticReport"', '"resourceType":"ServiceRequest"')),
    ("-X PATCH", ('"status":"final"', '"intent":"proposal"', '"status":"active"')),
    ("/dev/tcp", ("MSA|AA|",)),
    ("--to hook", ('"id":"ecg-order-sign"', '"indicator":"critical"', "Activate cath lab? AI: ")),
    ("ecg-interop predict", ("Myocardial infarction",)),
)


def _examples() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def _as_run_here(example: str, service: Service, folder: Path) -> str:
    """The same lines with this environment's command, this service's ports and a folder of the test's own."""
    return (
        example.replace("/tmp/", f"{folder}/")  # first: what the others put in may lie below /tmp itself
        .replace(".venv/bin/ecg-interop", f"{sys.executable} -m interop.cli")
        .replace("http://127.0.0.1:8000", service.url)
        .replace("/dev/tcp/127.0.0.1/2575", "/dev/tcp/{}/{}".format(*service.mllp))
    )


@pytest.mark.parametrize(("mark", "expected"), EXPECTED, ids=[mark for mark, _ in EXPECTED])
def test_the_readmes_example_works_when_pasted(
    service: Service, tmp_path: Path, mark: str, expected: tuple[str, ...]
) -> None:
    (example,) = [text for text in _examples() if mark in text]
    if mark == "-X PATCH":  # it works on what the first has posted
        example = next(text for text in _examples() if FIRST in text) + example
    if "curl" in example and not shutil.which("curl"):
        pytest.fail("curl is missing") if os.environ.get("CI") else pytest.skip("curl is missing")
    script = "set -euo pipefail\n" + _as_run_here(example, service, tmp_path)
    result = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert result.returncode == 0, result.stdout + result.stderr
    for text in expected:
        assert text in result.stdout


def test_no_example_of_the_readme_is_left_out() -> None:
    assert len(_examples()) == len(EXPECTED)
