"""The tutorials and the day of evaluation: every command on the page is run, and it says what the page shows."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.e2e.conftest import Service, environment
from tests.e2e.pages import BLOCK, lines_shown, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(850)]

DOCS = ROOT / "docs"
TRIED = {  # the programs that the page needs beside the shell and curl
    "tutorials/integration-engineer.md": (),
    "tutorials/clinician.md": (),
    "tutorials/operator.md": ("prometheus",),
    "evaluate.md": (),
}
# Of each page: what is on it as output and has to come out; nothing that differs from one time to the other.
SAYS = {
    "tutorials/integration-engineer.md": (
        "HTTP/1.1 201 Created",
        "HTTP/1.1 200 OK",
        '"priority": "stat"',
        '"code":"unit-unsupported"',
        "PID|1||4712^^^HOSP^MR",
        '"total": 1',
        "nothing-to-analyse",
        "[S] Activate cath lab (immediate, confidence 0.98)",
        "waiting  127.0.0.1:2576",
        "The recording time came without a time zone; Europe/Berlin was assumed.",
        "processing id 'T' is not taken from this sender",
        "MSA|AA|A1",
        "no MDC_ATTR_SAMP_RATE for the waveform in OBX[3]-5",
        "sampling-rate-invalid",
    ),
    "tutorials/clinician.md": (
        "CRITICAL | Activate cath lab? AI: Myocardial infarction 0.98; ECG 0 minutes ago, unconfirmed",
        "| Conduction disturbance | 0.78 | 0.30 | yes |",
        "Measured: heart rate 70/min, PR 164 ms, QRS 88 ms, QT 368 ms, QTc 387 ms, axis -55°.",
        "  I do not see this finding",
        "PRELIMINARY",
        "%PDF",
        "No assessed group was found, but the ECG is not called normal: QTc is 336 ms (normal above 360, below 460).",
        "The ECG could not be interpreted: I, II, III, aVR, aVL, aVF: flat or missing. No model was run.",
        '"status":"final"',
        '"status":"corrected"',
        '        "status": "revoked",',
        '        "status": "active",',
    ),
    "tutorials/operator.md": (
        '"model_status":"candidate","mode":"silent"',
        '"checks":{"model":"ok","database":"ok","disk":"ok","mllp":"ok"}',
        '"code":"signal-malformed","correlation_id":"my-own-id"',
        '"alertstate":"pending"',
        ", whole",
        "/tmp/ecg/copy.db is the database now",
        "chains: intact",
    ),
    "evaluate.md": (
        "examples/00010_hr.hea: No assessed group was found, but the ECG is not called normal:",
        "2 read",
    ),
}


@pytest.mark.parametrize("name", TRIED)
def test_every_command_of_a_page_works_and_says_what_the_page_shows(name: str, tmp_path: Path) -> None:
    page = DOCS / name
    printed = run(page, tmp_path, *TRIED[name])
    shown = "\n".join(lines_shown(page))
    for text in SAYS[name]:
        assert text in shown, f"not on the page: {text}"
        assert text in printed, f"not printed: {text}\n{printed[-4000:]}"
    assert "Traceback" not in printed


def test_a_day_of_ecgs_counts_what_was_refused_and_a_read_without_a_group(service: Service, tmp_path: Path) -> None:
    """What docs/evaluate.md sends with, on reads that are not as they should be."""
    (tmp_path / "broken.hea").write_text("no header")
    ecg = ROOT / "examples" / "00010_hr.hea"
    table = tmp_path / "reads.csv"
    table.write_text(f"file,age,sex,read\n{ecg},,,\n{ecg},22,female,MI HYP\nbroken.hea,50,male,NORM\n")
    day = [sys.executable, "examples/day.py", str(table), f"{service.url}/fhir"]
    done = subprocess.run(day, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stdout) == (1, "2 read, 1 refused\n")
    assert done.stderr.startswith("broken.hea: ")
    assert len(done.stderr.splitlines()) == 1
    found = httpx.get(f"{service.url}/fhir/DiagnosticReport?status=final&_count=2").json()["entry"]
    codes = [len(entry["resource"].get("conclusionCode", ())) for entry in found]
    assert codes == [2, 0]  # the newest first


def test_every_page_with_commands_to_paste_is_tried_or_is_known_not_to_be() -> None:
    """The commands of the others need training data, or stand beside their explanation and are tried elsewhere."""
    tried_elsewhere = {"monitoring.md"}
    with_commands = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if BLOCK.search(path.read_text())}
    assert with_commands - set(TRIED) <= tried_elsewhere
