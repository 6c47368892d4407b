"""docs/continuity.md and docs/runbooks.md: what they tell a tired operator to type exists."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from interop.cli import app
from tests.conftest import ROOT
from tests.deploy.deployed import load_yaml

PAGES = ("continuity", "runbooks")
NAMES = {"deploy/ecg-interop", "cronjob/ecg-backup", "job/ecg-migrate"}


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def commands(text: str) -> set[tuple[str, ...]]:
    """The words of each `ecg-interop ...` up to the first that is no name of a command."""
    found = re.findall(r"(?:`|\$ |-- |^)ecg-interop ((?:[a-z][a-z-]+(?: |$|`))+)", text, re.MULTILINE)
    return {tuple(words.strip("` ").split()) for words in found}


@pytest.mark.parametrize("name", PAGES)
def test_every_command_exists(name: str) -> None:
    found = commands(page(name))
    assert len(found) > 3
    for words in found:
        group: Any = typer.main.get_command(app)
        for word in words[:2]:
            if not hasattr(group, "commands"):
                break
            assert word in group.commands, words
            group = group.commands[word]


def test_every_script_is_there_and_may_be_run() -> None:
    named = set(re.findall(r"deploy/backup/([a-z-]+\.sh)|/opt/ecg/backup/([a-z-]+\.sh)", page("continuity")))
    scripts = {Path(ROOT, "deploy/backup", one or other) for one, other in named}
    assert scripts == set((ROOT / "deploy" / "backup").glob("*.sh"))
    assert all(os.access(script, os.X_OK) for script in scripts)


@pytest.mark.parametrize("name", PAGES)
def test_kubernetes_has_what_the_commands_name(name: str) -> None:
    named = set(re.findall(r"kubectl [^`\n]*?((?:deploy|cronjob|job|statefulset)/ecg[a-z-]*)", page(name)))
    assert named <= NAMES
    for kind, file in (("Deployment", "interop/deployment"), ("CronJob", "backup/backup"), ("Job", "interop/migrate")):
        text = (ROOT / "deploy" / "k8s" / "base" / f"{file}.yaml").read_text()
        resource = {"Deployment": "ecg-interop", "CronJob": "ecg-backup", "Job": "ecg-migrate"}[kind]
        assert re.search(rf"^kind: {kind}\nmetadata:\n  name: {resource}$", text, re.MULTILINE)
    production = load_yaml(ROOT / "deploy/k8s/overlays/production/kustomization.yaml")
    assert set(re.findall(r"kubectl -n ([a-z-]+) ", page(name))) <= {production["namespace"]}
