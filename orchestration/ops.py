"""`make ops`: the Dagster UI and the MLflow UI on local defaults, until Ctrl-C. Live results are monitored meanwhile.

Each runs in a session of its own, so that Ctrl-C reaches this program alone, which then stops both in order.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from orchestration.settings import Settings
from training.tracking import Tracking

TEMPLATE = Path(__file__).parents[1] / "deploy" / "dagster" / "local.yaml"
HOST = "127.0.0.1"
LOOK_SECONDS = 0.2
STOP_SECONDS = 30.0  # a code server has runs to tell

log = logging.getLogger(__name__)


def main(
    dagster_port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Start both and wait; stop both when one ends by itself or this program is told to."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = Settings()
    tracking = Tracking(uri=settings.mlflow_uri, artifacts=settings.mlflow_artifacts)
    home = dagster_home(settings.ops_folder)
    commands = [dagster_command(dagster_port)]
    log.info("Dagster: http://%s:%s", HOST, dagster_port)
    if tracking.is_server:
        log.info("MLflow: %s", tracking.uri)
    else:
        commands.append(mlflow_command(tracking, mlflow_port))
        log.info("MLflow: http://%s:%s", HOST, mlflow_port)
    raise typer.Exit(run(commands, environment(settings, home)))


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """What both are told beside the settings: schedules of monitoring are on unless somebody has decided it."""
    found = {"DAGSTER_HOME": str(home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    if "ops_monitoring" not in settings.model_fields_set:
        found["ECG_OPS_MONITORING"] = "true"
    return found


def dagster_home(folder: Path) -> Path:
    """Dagster's own folder, with its configuration as it was shipped unless there is one."""
    home = (folder / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(TEMPLATE, home / "dagster.yaml")
    return home


def dagster_command(port: int) -> list[str]:
    """Webserver and daemon of this code location."""
    return [_beside("dagster"), "dev", "-m", "orchestration.definitions", "--host", HOST, "--port", str(port)]


def mlflow_command(tracking: Tracking, port: int) -> list[str]:
    """A server of the local store."""
    Path(tracking.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return [
        _beside("mlflow"), "server", "--backend-store-uri", tracking.uri,
        "--artifacts-destination", str(tracking.artifacts), "--host", HOST, "--port", str(port), "--workers", "1",
    ]  # fmt: skip


def run(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> int:
    """Run all until one ends or a signal comes. Gives 0 after a signal, 1 when one ended by itself."""
    told: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        told.append(number)

    # Programs that are started while these are caught get them as usual, whoever started this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    started = [subprocess.Popen(c, env=os.environ | environment, start_new_session=True) for c in commands]
    try:
        while not told and all(process.poll() is None for process in started):
            time.sleep(LOOK_SECONDS)
    finally:
        _stop(started)
    return 0 if told else 1


def _stop(started: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in started:
        if process.poll() is None:
            process.terminate()
    end = time.monotonic() + STOP_SECONDS
    for process in started:
        try:
            process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            log.warning("process %s does not stop; it is killed", process.pid)
        _kill_session(process.pid)


def _kill_session(leader: int) -> None:
    """Whatever it has left behind."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _beside(name: str) -> str:
    """A command of the environment that this runs in."""
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    typer.run(main)
