"""The workflows of GitHub Actions as data, and a step's script run by bash with scripted programs beside it."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import ROOT

GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))
SECONDS = 60
# As GitHub calls the shell `bash`: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


def load(path: Path) -> Any:
    """One YAML document; 1.2, so that `on` is a text."""
    return YAML(typ="safe").load(path)


WORKFLOWS: dict[str, Any] = {path.name: load(path) for path in FILES}


@dataclass(frozen=True)
class Step:
    """One step and where it is."""

    workflow: str
    job: str
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For messages."""
        what = self.content.get("name") or self.content.get("uses") or self.content.get("run")
        return f"{self.workflow} {self.job}: {what}"

    @property
    def run(self) -> str:
        """Its script; empty when it uses an action."""
        return str(self.content.get("run", ""))

    @property
    def uses(self) -> str:
        """Its action without the version; empty when it is a script."""
        return str(self.content.get("uses", "")).split("@")[0]


def jobs() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every job with its workflow and its id."""
    for name, workflow in WORKFLOWS.items():
        for job, content in workflow["jobs"].items():
            yield name, job, content


STEPS = [Step(name, job, step) for name, job, content in jobs() for step in content.get("steps", ())]


def step(workflow: str, name: str) -> Step:
    """The one step of that name."""
    (found,) = (one for one in STEPS if one.workflow == workflow and one.content.get("name") == name)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every `${{ ... }}` with the file that has it."""
    for path in FILES:
        for found in re.findall(r"\$\{\{(.*?)\}\}", path.read_text(), re.DOTALL):
            yield path.name, found.strip()


@dataclass(frozen=True)
class Ran:
    """What became of a script."""

    code: int
    output: str
    calls: list[str]  # of the scripted programs, in order
    outputs: str
    summary: str


def run(script: str, folder: Path, programs: Mapping[str, str], **environment: str) -> Ran:
    """Run a step's script in a folder as a runner does. programs: name -> what bash does instead of that program; each
    call is noted first."""
    scripted = folder / ".programs"
    scripted.mkdir(exist_ok=True)
    calls, outputs, summary = (folder / f".{name}" for name in ("calls", "outputs", "summary"))
    for name, body in programs.items():
        program = scripted / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >> "{calls}"\n{body}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for file in (calls, outputs, summary):
        file.write_text("")
    done = subprocess.run(
        [*BASH, "-c", script],
        cwd=folder,
        env={
            "PATH": f"{scripted}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ran(
        done.returncode,
        done.stdout + done.stderr,
        calls.read_text().splitlines(),
        outputs.read_text(),
        summary.read_text(),
    )


def tracked() -> list[Path]:
    """The project's files: those that git has, and those that it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
