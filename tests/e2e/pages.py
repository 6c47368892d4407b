"""The `bash` blocks of a page of docs/, run one after the other in one shell as a reader does it, on ports and in a
folder of their own."""

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.conftest import ROOT
from tests.e2e.conftest import environment
from tests.e2e.npm import unavailable

BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HTTP, MLLP = "8000", "2575"
PORTS = (HTTP, MLLP, "8001", "2576", "9090")
FOLDER = "/tmp/ecg"
PROMETHEUS = "deploy/prometheus"
# Nothing that a page starts outlives it.
BEGIN = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT\n"
SECONDS = 800  # 25 to 60 on an idle machine: each command starts a program


def run(page: Path, folder: Path, *tools: str) -> str:
    """Run all blocks and give what they printed, with the ports and the folder of the page; an error fails the test.

    tools: programs that the page needs and pip does not bring.
    """
    missing = [tool for tool in ("bash", "curl", *tools) if shutil.which(tool) is None]
    if missing:
        unavailable(f"{page.name} needs {', '.join(missing)}")
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    script = BEGIN + "".join(_here(block, ports, folder) for block in BLOCK.findall(page.read_text()))
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=_settings(folder, ports), text=True, timeout=SECONDS,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{logs}"
    printed = done.stdout.replace(str(folder), FOLDER)
    for of_the_page, here in ports.items():
        printed = printed.replace(f"127.0.0.1:{here}", f"127.0.0.1:{of_the_page}")
    return printed


def lines_shown(page: Path) -> list[str]:
    """Every line that the page shows as output."""
    found = FENCED.findall(page.read_text())
    return [line for language, block in found if not language for line in block.splitlines()]


def _here(block: str, ports: dict[str, str], folder: Path) -> str:
    """The same lines with this environment's command, and free ports, and a folder of the test's own."""
    block = block.replace(".venv/bin/ecg-interop", f"{sys.executable} -m interop.cli")
    block = block.replace(".venv/bin/python", sys.executable)
    if PROMETHEUS in block:
        copy = shutil.copytree(ROOT / PROMETHEUS, folder / "watching")
        targets = copy / "targets.yml"
        targets.write_text(targets.read_text().replace(HTTP, ports[HTTP]))
        block = block.replace(PROMETHEUS, str(copy))
    for of_the_page, here in ports.items():
        block = re.sub(rf"(?<=[:/ ]){of_the_page}\b", here, block)
    return block.replace(FOLDER, str(folder)) + "\n"


def _settings(folder: Path, ports: dict[str, str]) -> dict[str, str]:
    """The page's own settings count; where it names no ports they are those of the test."""
    given = environment(folder, http_port=ports[HTTP], mllp_port=ports[MLLP])
    return given | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _free_ports(count: int) -> list[str]:
    with ExitStack() as open_until_all_are_known:
        taken = [open_until_all_are_known.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(one.getsockname()[1]) for one in taken]
