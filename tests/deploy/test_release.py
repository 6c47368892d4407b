"""What a release consists of: its notes, its bytes, its version, and weights that git can carry."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from scripts.dist import SUMS
from scripts.release_notes import NotReleasable, notes
from tests.conftest import ROOT
from tests.deploy.workflows import tracked

SECONDS = 120
MEGABYTE = 1_000_000
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CHANGELOG = """# Changelog

## 0.3.0 - unreleased

- Not yet.

## 0.2.0 - 2026-12-01

- New.
- See docs/fhir.md.

## 0.1.0 - 2026-11-01

- First.
"""


@pytest.mark.parametrize(("version", "expected"), [("0.2.0", "- New.\n- See docs/fhir.md.\n"), ("0.1.0", "- First.\n")])
def test_the_notes_are_the_section_of_the_version(version: str, expected: str) -> None:
    assert notes(f"v{version}", version, CHANGELOG) == expected


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "reason"),
    [
        ("v0.3.0", "0.3.0", CHANGELOG, "unreleased"),
        ("v0.2.0", "0.1.0", CHANGELOG, "pyproject.toml says 0.1.0"),
        ("0.2.0", "0.2.0", CHANGELOG, "not of the form"),
        ("v0.2.0rc1", "0.2.0rc1", CHANGELOG, "not of the form"),
        ("v0.4.0", "0.4.0", CHANGELOG, "0 sections"),
        ("v0.2.0", "0.2.0", CHANGELOG + "\n## 0.2.0 - 2026-12-02\n\n- Again.\n", "2 sections"),
        ("v0.2.0", "0.2.0", "## 0.2.0 - 2026-12-01\n\n## 0.1.0 - 2026-11-01\n\n- First.\n", "empty"),
    ],
)
def test_what_must_not_be_released_has_no_notes(tag: str, version: str, changelog: str, reason: str) -> None:
    with pytest.raises(NotReleasable, match=reason):
        notes(tag, version, changelog)


def test_our_changelog_has_the_form_and_a_section_for_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text().replace(" - unreleased", " - 2026-12-01")
    assert len(notes(f"v{VERSION}", VERSION, text).splitlines()) > 3


def test_the_command_prints_notes_or_the_reason() -> None:
    command = [sys.executable, "scripts/release_notes.py", "v9.9.9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"pyproject.toml says {VERSION}" in done.stderr


def test_every_place_that_repeats_the_version_repeats_this_one() -> None:
    repeated = re.findall(r"^ARG VERSION=(\S+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    for path in [*(ROOT / "deploy").rglob("*.yaml"), *(ROOT / "deploy").rglob("*.yml")]:
        text = path.read_text()
        repeated += re.findall(r"\becg-(?:interop|ops):(\d[\w.]*)", text)
        repeated += re.findall(r"newTag: \"?([\w.]+)", text) if "ecg-" in text else []
    assert len(repeated) > 5
    assert set(repeated) == {VERSION}


# --- Weights ----------------------------------------------------------------------------------------------------------


def test_no_file_is_too_large_for_plain_git() -> None:
    assert [path for path in tracked() if path.stat().st_size > 40 * MEGABYTE] == []


def test_the_lines_for_git_lfs_take_every_large_file_and_nothing_is_declared_without_it() -> None:
    guide = (ROOT / "docs/release.md").read_text()
    patterns = re.findall(r"^(\S+) filter=lfs diff=lfs merge=lfs -text$", guide, re.MULTILINE)
    (imported,) = re.findall(r'git lfs migrate import --everything --include="([^"]+)"', guide)
    assert imported.split(",") == patterns
    large = [path.relative_to(ROOT).as_posix() for path in tracked() if path.stat().st_size > MEGABYTE]
    assert large
    assert [name for name in large if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
    assert "filter=lfs" not in (ROOT / ".gitattributes").read_text()


def test_git_changes_no_byte_of_recordings_messages_and_weights() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    kept = [name for name in names if name.startswith(("examples/", "tests/vectors/"))]
    kept += [name for name in names if name.endswith((".onnx", ".pt", ".parquet", ".png"))]
    asked = subprocess.run(
        ["git", "check-attr", "text", "--", *kept],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert [line for line in asked.stdout.splitlines() if not line.endswith(": text: unset")] == []


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two builds of the working tree, at other places, times and rights. Of weights there is the first kilobyte: they
    are most of the bytes and none of the question."""
    content = {
        path.relative_to(ROOT): (path.read_bytes()[: 1000 if path.suffix in (".onnx", ".pt") else None], path)
        for path in tracked()
    }
    made = []
    for number, mask in enumerate((0o022, 0o077)):
        folder = tmp_path_factory.mktemp(f"build{number}")
        before = os.umask(mask)
        try:
            for name, (written, path) in content.items():
                copy = folder / "tree" / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(written)
                if os.access(path, os.X_OK):
                    copy.chmod(copy.stat().st_mode | 0o100)
        finally:
            os.umask(before)
        command = [sys.executable, "scripts/dist.py", "--tree", str(folder / "tree"), "--out", str(folder / "dist")]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": str(folder)}
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS, check=True)
        made.append(folder / "dist")
    return made[0], made[1]


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_two_builds_of_one_source_are_the_same_bytes(builds: tuple[Path, Path]) -> None:
    first, second = ((folder / SUMS).read_text() for folder in builds)
    assert first == second
    assert [line.split("  ")[1] for line in first.splitlines()] == [
        f"ecg_clinical_action_recommender-{VERSION}-py3-none-any.whl",
        f"ecg_clinical_action_recommender-{VERSION}.tar.gz",
        _model_archive(),
    ]
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=builds[0], timeout=SECONDS, check=True)


def _model_archive() -> str:
    name, version = json.loads((ROOT / "models/champion.json").read_text())["path"].split("/")
    return f"model-{name}-{version}.tar.gz"


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_the_model_unpacks_into_a_folder_of_models(builds: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(builds[0] / _model_archive()) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    folder = ROOT / "models" / json.loads((ROOT / "models/champion.json").read_text())["path"]
    assert unpacked == {path.relative_to(ROOT / "models") for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_the_wheel_says_its_version_and_holds_the_champion(builds: tuple[Path, Path]) -> None:
    (wheel,) = builds[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert f"\nVersion: {VERSION}\n" in archive.read(metadata).decode()
        assert "inference/released/model.onnx" in archive.namelist()


def test_a_commit_is_built_and_not_what_lies_beside_it() -> None:
    """The release is made of `make dist`, which must not take uncommitted files."""
    recipe = re.search(r"^dist:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert "--tree" not in recipe[1]
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/release.yml")
    assert {"run": "make dist"} in workflow["jobs"]["dist"]["steps"]
