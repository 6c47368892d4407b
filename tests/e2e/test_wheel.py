"""The wheel, installed where nothing else is: every package and data file is in it, the model too."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT
from training.documents import DOCUMENTS

pytestmark = pytest.mark.slow

INSTALL_SECONDS = 500  # 140 were measured on two busy cores with pip's cache warm; a first install also downloads
PACKAGES = ("inference", "actions", "audit", "interop", "training", "orchestration")


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ECG_", "PYTHON"))}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what belongs to the project: tracked, or new and not ignored."""
    folder = tmp_path_factory.mktemp("source")
    for file in _run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, folder / file)
    return folder


@pytest.fixture(scope="module")
def written(source: Path) -> set[str]:
    """Every file of the packages, before anything was built."""
    return {str(file.relative_to(source)) for name in PACKAGES for file in (source / name).rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def wheel(source: Path, written: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_every_module_and_data_file_of_the_packages_is_in_the_wheel(wheel: Path, written: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packaged = set(archive.namelist())
    assert "inference/artifact.py" in written
    assert written - packaged == set()


def test_the_champion_is_in_the_wheel_with_every_graph_that_may_run_and_no_torch_weights(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        released = {name for name in archive.namelist() if name.startswith("inference/released/")}
    served = ("card.json", *DOCUMENTS, "model.onnx", "model.int8.onnx")
    assert released == {f"inference/released/{name}" for name in served}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """An environment with nothing in it, not even pip; removed afterwards, for it grows to 700 MB."""
    folder = tmp_path / "venv"
    venv.create(folder)
    yield folder / "bin"
    shutil.rmtree(folder)


@pytest.mark.timeout(INSTALL_SECONDS)
def test_the_wheel_alone_predicts_and_serves_its_migrations(
    wheel: Path, empty: Path, tmp_path: Path, examples: Path
) -> None:
    command = empty / "ecg-interop"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", empty / "python")
    # Compiling every module of every dependency would take longer than all the rest; what is used compiles itself.
    _run(*pip, "install", "--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    printed = _run(
        command, "predict", "--json", examples / "00184_hr.hea", "--age", "74", "--sex", "male", cwd=tmp_path
    )
    (result,) = json.loads(printed)
    assert {"code": "MI"}.items() <= result["diagnoses"][0].items()
    assert "schema none ->" in _run(command, "db", "upgrade", cwd=tmp_path)
    installed = {
        package["name"].lower() for package in json.loads(_run(*pip, "list", "--format", "json", cwd=tmp_path))
    }
    assert installed.isdisjoint({"torch", "mlflow", "dagster", "evidently", "great_expectations"})
