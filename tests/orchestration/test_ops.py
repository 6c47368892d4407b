import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config, dagster_instance_config_schema
from dagster_shared.yaml_utils import load_yaml_from_path

from orchestration.ops import TEMPLATE, dagster_home, environment, run
from orchestration.settings import Settings

ENDLESS = [sys.executable, "-c", "import time; time.sleep(600)"]
ENDING = [sys.executable, "-c", ""]


def test_when_one_ends_by_itself_the_other_is_stopped_too() -> None:
    assert run([ENDLESS, ENDING], {}) == 1


def test_a_signal_stops_all_and_is_no_failure() -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert run([ENDLESS, ENDLESS], {}) == 0


def test_monitoring_is_on_unless_somebody_has_decided_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment(Settings(_env_file=None), tmp_path)["ECG_OPS_MONITORING"] == "true"
    monkeypatch.setenv("ECG_OPS_MONITORING", "false")
    assert "ECG_OPS_MONITORING" not in environment(Settings(_env_file=None), tmp_path)


def test_a_configuration_that_was_changed_is_kept(tmp_path: Path) -> None:
    home = dagster_home(tmp_path)
    assert (home / "dagster.yaml").read_text() == TEMPLATE.read_text()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert (dagster_home(tmp_path) / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


INSTANCES = sorted(path for path in TEMPLATE.parent.glob("*.yaml") if path.name != "kustomization.yaml")


@pytest.mark.parametrize("file", INSTANCES, ids=lambda path: path.name)
def test_the_instance_is_configured_as_dagster_asks(file: Path) -> None:
    config = load_yaml_from_path(str(file))
    found = validate_config(dagster_instance_config_schema(), config)
    assert found.success, [error.message for error in found.errors or ()]
    assert isinstance(config, dict)
    assert config["telemetry"] == {"enabled": False}


def test_the_local_instance_loads(tmp_path: Path) -> None:
    config, _ = dagster_instance_config(str(dagster_home(tmp_path)))
    concurrency = config["concurrency"]
    assert concurrency["pools"] == {"granularity": "run", "default_limit": 1}
    assert concurrency["runs"]["max_concurrent_runs"] == 2
