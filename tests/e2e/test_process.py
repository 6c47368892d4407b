"""The serving process as an operator meets it."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Service, command, environment, running

TRAINING_ONLY = ("torch", "mlflow", "dagster", "evidently", "great_expectations", "h5py", "sklearn", "onnx")
# Each takes 0.2 to 1.1 s to import.
SLOW = ("scipy.signal", "scipy.stats", "alembic", "httpx", "pandas", "pydicom", "hl7apy", "matplotlib", "reportlab",
        "apprise")  # fmt: skip


def test_a_second_service_on_the_same_file_names_the_holder(service: Service) -> None:
    second = command("serve", "--http-port", "0", "--mllp-port", "0", folder=service.folder)
    assert second.returncode == 1
    assert str(service.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(("option", "setting"), [("--http-port", "ECG_HTTP_PORT"), ("--mllp-port", "ECG_MLLP_PORT")])
def test_a_busy_port_is_named_with_its_setting(tmp_path: Path, option: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        other = {"--http-port": "--mllp-port", "--mllp-port": "--http-port"}[option]
        result = command("serve", option, str(port), other, "0", folder=tmp_path)
    assert result.returncode == 1
    assert str(port) in result.stderr
    assert setting in result.stderr
    assert "Traceback" not in result.stderr


def test_a_candidate_model_runs_silent_unless_it_is_allowed_and_sigterm_ends_it_with_0(
    tmp_path: Path, service: Service
) -> None:
    assert service.ready["mode"] == "live"
    with running(tmp_path, allow_candidate="false") as silent:
        assert (silent.ready["model_status"], silent.ready["mode"]) == ("candidate", "silent")
        assert silent.stop() == 0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the process of `ecg-interop serve` has loaded when it is ready."""
    script = (
        "import gc, json, os, signal, sys\n"
        "from interop import bootstrap\n"
        "from interop.settings import Settings\n"
        "gc.disable()\n"
        "def ready(_):\n"
        "    found = {'modules': sorted(sys.modules), 'collects': gc.isenabled(), 'settled': gc.get_freeze_count()}\n"
        "    json.dump(found, sys.stdout)\n"
        "    sys.stdout.flush()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "bootstrap.serve(Settings(http_port=0, mllp_port=0), ready)\n"
    )
    folder = tmp_path_factory.mktemp("started")
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_serving_imports_no_training_library(started: dict[str, Any]) -> None:
    imported = {name.partition(".")[0] for name in started["modules"]}
    assert "onnxruntime" in imported
    assert imported.isdisjoint(TRAINING_ONLY)


def test_the_start_does_not_wait_for_what_serving_does_not_need(started: dict[str, Any]) -> None:
    assert set(started["modules"]).isdisjoint(SLOW)


def test_a_service_that_is_ready_has_settled_its_memory_and_collects_garbage(started: dict[str, Any]) -> None:
    assert started["collects"]
    assert started["settled"] > 0


def test_a_wrong_setting_is_one_clear_line_and_exit_code_2(tmp_path: Path) -> None:
    result = command("serve", folder=tmp_path, http_port="99999")
    assert result.returncode == 2
    assert "ECG_HTTP_PORT" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_demonstration_runs_both_doors(tmp_path: Path) -> None:
    result = command("demo", "--once", "--http-port", "0", "--mllp-port", "0", folder=tmp_path, allow_candidate="true")
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in ("201 Created", "MSA|AA|", "DiagnosticReport/", "(preliminary)", "Not a medical device", "/ecg/"):
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
