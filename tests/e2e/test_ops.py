"""`make ops`: both UIs, an asset made through the one of Dagster, and monitoring by its schedule."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.definitions.run_request import InstigatorType

from audit.monitoring_records import ReportKind
from audit.records import AcknowledgementState, ProcessingState
from audit.store import open_store
from audit.upgrade import upgrade
from tests.audit.values import analysis, received

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 150.0  # two large programs, each in several processes
RUN_SECONDS = 90.0
SCHEDULED_SECONDS = 240.0  # the daemon's own time, and a process for each report
STOP_SECONDS = 40.0

LAUNCH = """mutation($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
RECORDINGS = """query { assetNodeOrError(assetKey: {path: ["recordings"]}) { ... on AssetNode {
  assetMaterializations(limit: 1) { partition } } } }"""

SCHEDULES = {"daily_monitoring", "hourly_drift"}
DAILY = {ReportKind.BIAS, ReportKind.PERFORMANCE}

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
def ops(data: Path, folder: Path, **settings: str) -> Iterator[tuple[str, str, "subprocess.Popen[bytes]"]]:
    """Gives the URLs of Dagster and MLflow."""
    dagster, mlflow = free_ports(2)
    given = {
        "ECG_DATA": str(data),
        "ECG_OPS_FOLDER": str(folder),
        "ECG_MLFLOW_URI": f"sqlite:///{folder}/mlflow.db",
        "ECG_MLFLOW_ARTIFACTS": str(folder / "mlartifacts"),
        **settings,
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


def results(folder: Path) -> str:
    """A service's store in which men have more urgent results than women; its address."""
    url = f"sqlite:///{folder}/ecg.db"
    upgrade(url)
    store = open_store(url, chain_id="test")
    at = datetime.now(UTC) - timedelta(hours=1)
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.NOT_OWED)
        for sex, urgent in {"female": 20, "male": 35}.items():
            for number in range(100):
                urgency = "urgent" if number < urgent else "routine"
                row = replace(
                    analysis(f"{sex}-{number}", inbox), sex=sex, urgency=urgency, analyzed_at=at, detail=b"{}"
                )
                uow.analyses.add(row)
    store.close()
    return url


def found(url: str) -> tuple[set[ReportKind], list[str]]:
    """Kinds of report that are stored, and keys of the alerts that are open."""
    store = open_store(url, chain_id="look")
    with store.reader() as reader:
        kinds = {state.kind for state in reader.reports.states()}
        keys = [alert.key for alert in reader.alerts.list(open_only=True, limit=9)]
    store.close()
    return kinds, keys


def watched(home: Path) -> set[str]:
    """The schedules that the daemon has looked at."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return {
            state.instigator_name for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        }


def two_days_ago(home: Path) -> None:
    """As if the daemon had last looked then."""
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
            data: Any = state.instigator_data
            earlier = data._replace(start_timestamp=at, last_iteration_timestamp=at)
            instance.update_instigator_state(state.with_data(earlier))


def wait_until(is_so: Any, log: Path) -> None:
    end = time.monotonic() + SCHEDULED_SECONDS
    while not is_so():
        assert time.monotonic() < end, log.read_text()
        time.sleep(1)


@pytest.mark.timeout(900)
def test_live_results_are_monitored_by_the_schedule_and_a_tick_that_was_missed_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, home, log = results(tmp_path), tmp_path / "dagster", tmp_path / "ops.log"
    monkeypatch.setenv("DAGSTER_HOME", str(home))  # its own configuration asks for it
    with ops(tmp_path / "nowhere", tmp_path, ECG_DATABASE_URL=url):
        wait_until(lambda: watched(home) >= SCHEDULES, log)
    assert found(url) == (set(), [])
    two_days_ago(home)
    with ops(tmp_path / "nowhere", tmp_path, ECG_DATABASE_URL=url):
        wait_until(lambda: found(url)[0] >= DAILY, log)
    assert "bias:sex" in found(url)[1]
