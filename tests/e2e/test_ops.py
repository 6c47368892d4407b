"""`make ops`: both UIs, and an asset made through the one of Dagster."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 150.0  # two large programs, each in several processes
RUN_SECONDS = 90.0
STOP_SECONDS = 40.0

LAUNCH = """mutation($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
RECORDINGS = """query { assetNodeOrError(assetKey: {path: ["recordings"]}) { ... on AssetNode {
  assetMaterializations(limit: 1) { partition } } } }"""

JOB = {
    "selector": {
        "repositoryLocationName": "orchestration.definitions",
        "repositoryName": "__repository__",
        "jobName": "data_sets",
        "assetSelection": [{"path": ["recordings"]}],
    },
    "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "chapman"}]},
}


@contextmanager
def ops(data: Path, folder: Path) -> Iterator[tuple[str, str, "subprocess.Popen[bytes]"]]:
    """Gives the URLs of Dagster and MLflow."""
    dagster, mlflow = free_ports(2)
    given = {
        "ECG_DATA": str(data),
        "ECG_OPS_FOLDER": str(folder),
        "ECG_MLFLOW_URI": f"sqlite:///{folder}/mlflow.db",
        "ECG_MLFLOW_ARTIFACTS": str(folder / "mlartifacts"),
    }
    with (folder / "ops.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.ops",
             "--dagster-port", str(dagster), "--mlflow-port", str(mlflow)],
            cwd=ROOT, env=os.environ | given, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    urls = (f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{mlflow}")
    try:
        for url, page in zip(urls, ("server_info", "health"), strict=True):
            wait_for(f"{url}/{page}", process, folder / "ops.log")
        yield *urls, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def ask(url: str, query: str, **variables: object) -> Mapping[str, Any]:
    answer = httpx.post(f"{url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
    found: Mapping[str, Any] = answer["data"]
    return found


def finished(url: str, run: str) -> str:
    end = time.monotonic() + RUN_SECONDS
    while time.monotonic() < end:
        status = str(ask(url, STATUS, id=run)["runOrError"]["status"])
        if status in ("SUCCESS", "FAILURE", "CANCELED"):
            return status
        time.sleep(0.5)
    raise AssertionError(f"{run} has not finished")


@pytest.mark.timeout(400)
def test_both_pages_come_up_an_asset_is_made_through_dagster_and_ctrl_c_stops_all(
    shared_data: Path, tmp_path: Path
) -> None:
    with ops(shared_data, tmp_path) as (dagster, mlflow, process):
        assert httpx.get(mlflow, timeout=30).status_code == httpx.codes.OK
        run = ask(dagster, LAUNCH, run=JOB)["launchPipelineExecution"]["run"]["runId"]
        assert finished(dagster, run) == "SUCCESS"
        assert ask(dagster, RECORDINGS)["assetNodeOrError"]["assetMaterializations"] == [{"partition": "chapman"}]
    assert process.returncode == 0
    for url in (dagster, mlflow):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, timeout=2)
