"""The serving process as an operator meets it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, running

TRAINING_ONLY = ("torch", "mlflow", "dagster", "evidently", "great_expectations", "h5py", "sklearn", "onnx")


def _command(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
    environment |= {"ECG_DATABASE_URL": f"sqlite:///{folder}/ecg.db"}
    environment |= {f"ECG_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "interop.cli", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_sigterm_drains_and_ends_with_0(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert service.stop() == 0


def test_a_second_service_on_the_same_file_names_the_holder(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        second = _command("serve", "--http-port", "0", "--mllp-port", "0", folder=tmp_path)
        assert second.returncode == 1
        assert str(service.process.pid) in second.stderr
        assert "Traceback" not in second.stderr


@pytest.mark.parametrize(("option", "setting"), [("--http-port", "ECG_HTTP_PORT"), ("--mllp-port", "ECG_MLLP_PORT")])
def test_a_busy_port_is_named_with_its_setting(tmp_path: Path, option: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        other = {"--http-port": "--mllp-port", "--mllp-port": "--http-port"}[option]
        result = _command("serve", option, str(port), other, "0", folder=tmp_path)
    assert result.returncode == 1
    assert str(port) in result.stderr
    assert setting in result.stderr
    assert "Traceback" not in result.stderr


def test_a_candidate_model_runs_silent_unless_it_is_allowed(tmp_path: Path) -> None:
    with running(tmp_path, allow_candidate="false") as service:
        assert (service.ready["model_status"], service.ready["mode"]) == ("candidate", "silent")
    with running(tmp_path) as service:
        assert service.ready["mode"] == "live"


def test_serving_imports_no_training_library(tmp_path: Path) -> None:
    script = (
        "import sys, json, runpy, threading, os, signal\n"
        "from interop import bootstrap\n"
        "from interop.settings import Settings\n"
        "def ready(_):\n"
        "    json.dump(sorted({name.partition('.')[0] for name in sys.modules}), sys.stdout)\n"
        "    sys.stdout.flush()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "bootstrap.serve(Settings(http_port=0, mllp_port=0), ready)\n"
    )
    environment = os.environ | {"ECG_DATABASE_URL": f"sqlite:///{tmp_path}/ecg.db"}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    imported = set(json.loads(result.stdout))
    assert "onnxruntime" in imported
    assert imported.isdisjoint(TRAINING_ONLY)


def test_a_wrong_setting_is_one_clear_line_and_exit_code_2(tmp_path: Path) -> None:
    result = _command("serve", folder=tmp_path, http_port="99999")
    assert result.returncode == 2
    assert "ECG_HTTP_PORT" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_demonstration_runs_both_doors(tmp_path: Path) -> None:
    result = _command("demo", "--once", "--http-port", "0", "--mllp-port", "0", folder=tmp_path, allow_candidate="true")
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in ("201 Created", "MSA|AA|", "DiagnosticReport/", "(preliminary)", "Not a medical device"):
        assert expected in result.stdout


def test_commands_that_need_the_training_libraries_say_so(tmp_path: Path) -> None:
    script = (
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else real(name, *rest)\n"
        "sys.argv = ['ecg-interop', 'train', '--data', '.']\n"
        "from interop.cli import main\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "pip install" in result.stderr
