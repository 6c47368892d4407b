from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from orchestration.automation import SENSORS, new_data, schedules, weekly_retrain
from orchestration.definitions import ASSETS, defs
from orchestration.pools import CORES
from orchestration.resources import DataFolders, ServiceStore
from training.datasets.catalog import KINDS

MONDAY = datetime(2026, 1, 5, 2, tzinfo=UTC)


def _folders(**folders: Path) -> DataFolders:
    return DataFolders(folders={kind: str(folders.get(kind, "nowhere")) for kind in KINDS})


def test_nothing_starts_by_itself_until_someone_switches_it_on() -> None:
    assert all(each.default_status is dg.DefaultScheduleStatus.STOPPED for each in schedules(monitoring=False))
    assert all(each.default_status is dg.DefaultSensorStatus.STOPPED for each in SENSORS)


def test_each_weekly_training_has_a_version_of_its_own() -> None:
    with dg.build_schedule_context(
        scheduled_execution_time=MONDAY, repository_def=defs.get_repository_def()
    ) as context:
        (request,) = weekly_retrain.evaluate_tick(context).run_requests or ()
    assert request.partition_key == "ptbxl"
    assert request.run_config["ops"]["recipe"]["config"]["version"].endswith(".20260105")


def test_monitoring_is_on_where_that_is_set_and_training_is_not() -> None:
    on = {each.name for each in schedules(monitoring=True) if each.default_status is dg.DefaultScheduleStatus.RUNNING}
    assert on == {"daily_monitoring", "hourly_drift"}


def test_what_uses_all_cores_runs_one_after_the_other_and_monitoring_waits_for_none() -> None:
    free = {key.to_user_string() for asset in ASSETS if asset.op.pool != CORES for key in asset.keys}
    assert free == {"bias_report", "performance_report", "shadow_report", "drift_report"}


@pytest.mark.parametrize(
    ("name", "cron", "assets"),
    [
        ("daily_monitoring", "15 5 * * *", {"bias_report", "performance_report", "shadow_report"}),
        ("hourly_drift", "5 * * * *", {"drift_report"}),
    ],
)
def test_live_results_are_monitored_every_day_and_drift_every_hour(name: str, cron: str, assets: set[str]) -> None:
    found = _schedule(name)
    assert (found.cron_schedule, found.execution_timezone) == (cron, "UTC")
    keys = defs.resolve_job_def(found.job_name).asset_layer.executable_asset_keys
    assert {key.to_user_string() for key in keys} == assets


@pytest.mark.parametrize("name", ["daily_monitoring", "hourly_drift"])
def test_a_tick_of_monitoring_waits_for_the_services_store(name: str, tmp_path: Path) -> None:
    file = tmp_path / "ecg.db"
    assert _tick(name, file).skip_message == f"there is no database at {file} yet; set ECG_DATABASE_URL"
    file.touch()
    assert [request.run_config for request in _tick(name, file).run_requests] == [{}]


def _schedule(name: str) -> dg.ScheduleDefinition:
    (found,) = (each for each in schedules(monitoring=False) if each.name == name)
    return found


def _tick(name: str, file: Path) -> Any:
    store = ServiceStore(SecretStr(f"sqlite:///{file}"))
    with dg.build_schedule_context(
        resources={"service_store": store}, scheduled_execution_time=MONDAY, repository_def=defs.get_repository_def()
    ) as context:
        return _schedule(name).evaluate_tick(context)


def test_a_data_set_that_is_there_is_asked_for_once_until_it_changes(ptbxl_slice: Path, tmp_path: Path) -> None:
    first, again = (_requests(_folders(ptbxl=ptbxl_slice)) for _ in range(2))
    assert [r.partition_key for r in first] == ["ptbxl"]
    assert [r.run_key for r in first] == [r.run_key for r in again]
    labels = ptbxl_slice / "superclass_labels.csv"
    (tmp_path / "records100").symlink_to(ptbxl_slice / "records100")
    (tmp_path / "superclass_labels.csv").write_text("\n".join(labels.read_text().splitlines()[:-30]) + "\n")
    (changed,) = _requests(_folders(ptbxl=tmp_path))
    assert changed.run_key != first[0].run_key


def test_a_data_set_that_cannot_be_read_is_asked_for_so_that_its_run_tells_why(tmp_path: Path) -> None:
    (request,) = _requests(_folders(ptbxl=tmp_path))
    assert request.run_key == "ptbxl-FileNotFoundError"


def test_without_any_data_set_the_sensor_says_so() -> None:
    with dg.build_sensor_context(resources={"data_folders": _folders()}) as context:
        found = new_data.evaluate_tick(context)
    assert (found.run_requests, found.skip_message) == ([], "no data set is there")


def _requests(folders: DataFolders) -> list[dg.RunRequest]:
    with dg.build_sensor_context(resources={"data_folders": folders}, definitions=defs) as context:
        return list(new_data.evaluate_tick(context).run_requests or ())
