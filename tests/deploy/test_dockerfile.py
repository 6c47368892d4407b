"""deploy/Dockerfile without building it: linted, and held against pyproject.toml and the code."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT
from tests.deploy.deployed import ENTRY_POINT, HTTP_PORT, MLLP_PORT, wrong_command

DOCKERFILE = ROOT / "deploy/Dockerfile"
TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def load(name: str) -> ModuleType:
    """A script of deploy/image, which is no package."""
    specification = importlib.util.spec_from_file_location(name, ROOT / "deploy/image" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run((program, DOCKERFILE), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_rule_is_switched_off_only_where_the_reason_is_given() -> None:
    ignored = re.findall(r"hadolint ignore=(\S+)", TEXT)
    assert set(ignored) == {"DL3008"}
    assert re.search(r"^# DL3008: ", TEXT, re.MULTILINE)


def test_the_serving_image_is_what_is_built_without_a_target() -> None:
    assert re.findall(r"^FROM \S+ AS (\S+)$", TEXT, re.MULTILINE)[-1] == "interop"


def test_commands_ports_and_version_are_those_of_the_code() -> None:
    assert wrong_command([ENTRY_POINT, "serve"]) == []
    assert 'ENTRYPOINT ["ecg-interop"]' in TEXT
    assert f"EXPOSE {HTTP_PORT} {MLLP_PORT}" in TEXT
    ops = re.findall(r'^CMD \["(dagster.*)"\]$', TEXT, re.MULTILINE)
    assert [wrong_command(re.split(r'", "', words)) for words in ops] == [[]]
    assert set(re.findall(r"^ARG VERSION=(.+)$", TEXT, re.MULTILINE)) == {PROJECT["project"]["version"]}


def test_every_package_of_the_project_is_copied_and_let_through() -> None:
    packages = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    copied = set(re.findall(r"^COPY (\w+) \1$", TEXT, re.MULTILINE))
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert packages <= copied
    assert copied <= let_through
    sources = {word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE) for word in line.split()}
    assert [word for word in sources if not (ROOT / word).exists()] == []
    assert [s for s in sources if not any(s == one or s.startswith(f"{one}/") for one in let_through)] == []


def test_no_address_of_a_package_registry_is_in_what_builds_the_image() -> None:
    for path in (DOCKERFILE, *(ROOT / "deploy/image").glob("*.py")):
        assert re.findall(r"https?://\S+", path.read_text()) == [], path


@pytest.mark.parametrize("extra", [(), ("cluster",)])
def test_the_requirements_of_an_image_are_those_of_pyproject(extra: tuple[str, ...]) -> None:
    found = load("requirements").requirements(PROJECT["project"], extra)
    assert set(PROJECT["project"]["dependencies"]) <= set(found)
    assert ("dagster-k8s" in found, "torch" in found, "evidently" in found) == (bool(extra),) * 3
    assert [name for name in found if name.startswith(PROJECT["project"]["name"])] == []


def test_what_is_cut_is_nothing_that_this_project_asks_for() -> None:
    asked = {re.split(r"[\[<>=]", name)[0] for name in PROJECT["project"]["dependencies"]}
    assert set(load("slim").DISTRIBUTIONS) & asked == set()
