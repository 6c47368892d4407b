"""The wheel, installed where nothing else is: every package and data file is in it, the model too."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

INSTALL_SECONDS = 400


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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for file in _run("git", "ls-files", cwd=ROOT).splitlines():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, source / file)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_every_module_and_data_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    tracked = _run("git", "ls-files", "inference", "actions", "audit", "interop", "training", "orchestration", cwd=ROOT)
    with zipfile.ZipFile(wheel) as archive:
        packaged = set(archive.namelist())
    assert set(tracked.split()) - packaged == set()
    assert {"inference/released/card.json", "inference/released/model.onnx"} <= packaged


@pytest.mark.timeout(INSTALL_SECONDS)
def test_the_wheel_alone_predicts_and_serves_its_migrations(wheel: Path, tmp_path: Path, examples: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python, command = tmp_path / "venv/bin/python", tmp_path / "venv/bin/ecg-interop"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    printed = _run(
        command, "predict", "--json", examples / "00184_hr.hea", "--age", "74", "--sex", "male", cwd=tmp_path
    )
    (result,) = json.loads(printed)
    assert {"code": "MI"}.items() <= result["diagnoses"][0].items()
    assert "schema none ->" in _run(command, "db", "upgrade", cwd=tmp_path)
    installed = {
        package["name"].lower()
        for package in json.loads(_run(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    }
    assert installed.isdisjoint({"torch", "mlflow", "dagster", "evidently", "great_expectations"})
