"""The reports on live results, made by the pipeline of a store of each kind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from audit.monitoring_records import ReportKind
from audit.records import AcknowledgementState, ProcessingState
from audit.store import Store
from orchestration.checks import NOTHING_FLAGGED
from orchestration.config import WindowConfig
from orchestration.definitions import definitions
from orchestration.settings import Settings
from tests.audit.conftest import (
    emptied_postgresql,
    migrated_postgresql,
    migrated_url,
    postgresql,
    sqlite_template,
    store,
)
from tests.audit.values import analysis, received, shadow
from tests.orchestration.conftest import checks, failure, made
from tests.receivers import WebhookServer

__all__ = ["emptied_postgresql", "migrated_postgresql", "migrated_url", "postgresql", "sqlite_template", "store"]

NOW = datetime.now(UTC)
REPORTS = ("bias_report", "performance_report", "shadow_report")


def live(store: Store, name: str = "a", **urgent: int) -> None:
    """100 results of each sex, of which so many are urgent."""
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(control_id=name), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        for sex, number in urgent.items():
            for i in range(100):
                row = analysis(f"{name}-{sex}-{i}", inbox)
                urgency = "urgent" if i < number else "routine"
                at = NOW - timedelta(hours=1)
                uow.analyses.add(replace(row, sex=sex, urgency=urgency, analyzed_at=at, detail=b"{}"))


def monitored(url: str, days: float = 7.0, **settings: Any) -> dg.ExecuteInProcessResult:
    """The job, as its schedule starts it."""
    job = definitions(Settings(_env_file=None, database_url=url, **settings)).resolve_job_def("monitor")
    window = {name: WindowConfig(days=days) for name in REPORTS}
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(run_config=dg.RunConfig(ops=window), instance=instance, raise_on_error=False)


def test_all_reports_are_stored_and_a_flag_warns_and_opens_an_alert(store: Store, migrated_url: str) -> None:
    live(store, female=20, male=35)
    result = monitored(migrated_url)
    assert result.success, "a flag is no failure of the pipeline"
    assert made(result) == set(REPORTS)
    flagged, quiet = (
        next(e for e in result.get_asset_check_evaluations() if e.asset_key == dg.AssetKey(name))
        for name in ("bias_report", "performance_report")
    )
    assert (flagged.passed, flagged.severity, quiet.passed) == (False, dg.AssetCheckSeverity.WARN, True)
    assert flagged.description == (
        "Urgent rate by sex. Lowest over highest 0.57, needed 0.8: female 20.0%, male 35.0%."
    )
    with store.reader() as reader:
        assert {state.kind: state.flag for state in reader.reports.states()} == {
            ReportKind.BIAS: True,
            ReportKind.PERFORMANCE: False,
            ReportKind.SHADOW: False,
        }
        assert [alert.key for alert in reader.alerts.list(open_only=True, limit=9)] == ["bias:sex"]


def test_the_alert_is_resolved_by_the_run_that_finds_the_groups_alike(store: Store, migrated_url: str) -> None:
    live(store, female=20, male=35)
    monitored(migrated_url)
    live(store, "later", female=35, male=20)
    assert checks(monitored(migrated_url))[NOTHING_FLAGGED].passed
    with store.reader() as reader:
        assert reader.alerts.list(open_only=True, limit=9) == []


def test_a_model_in_shadow_mode_is_compared_where_one_ran(store: Store, migrated_url: str) -> None:
    live(store, female=0)
    with store.unit_of_work() as uow:
        for i in range(100):
            uow.shadows.add(replace(shadow(f"a-female-{i}"), urgency="urgent" if i < 30 else "routine"))
    result = monitored(migrated_url)
    assert result.success
    check = next(e for e in result.get_asset_check_evaluations() if e.asset_key == dg.AssetKey("shadow_report"))
    assert not check.passed
    assert check.description is not None
    assert "0.0% as served, 30.0% by the model in shadow mode" in check.description


def test_the_alert_is_told_and_shown_with_the_materialization(store: Store, migrated_url: str, tmp_path: Path) -> None:
    live(store, female=20, male=35)
    with WebhookServer().listening() as hook:
        file = tmp_path / "channels.json"
        file.write_text(f'[{{"name": "pager", "url": "json://{hook.address}/x", "severity": "warning"}}]')
        results = [monitored(migrated_url, alert_channels=file, public_url="https://ecg.example") for _ in range(2)]
    (told,) = hook.bodies
    assert told["title"] == "[ECG] WARNING: Urgent rate by sex"
    assert "https://ecg.example/monitoring/bias" in told["message"]
    shown = [
        event.materialization.metadata["notices"].value
        for result in results
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("bias_report")
    ]
    assert shown == ["bias:sex opened to pager: sent", "none"]


def test_what_was_found_is_shown_with_the_materialization(store: Store, migrated_url: str) -> None:
    live(store, female=30, male=30)
    events = monitored(migrated_url).get_asset_materialization_events()
    shown = {e.asset_key.to_user_string(): e.materialization.metadata for e in events if e.asset_key}
    assert shown["bias_report"]["analyses"].value == 200
    assert shown["bias_report"]["flag"].value is False
    assert "Urgent rate by sex" in str(shown["bias_report"]["findings"].value)
    assert isinstance(shown["performance_report"]["report"], dg.JsonMetadataValue)
    assert "No model ran in shadow mode." in str(shown["shadow_report"]["findings"].value)


def test_without_a_database_it_is_told_where_it_was_looked_for(tmp_path: Path) -> None:
    result = monitored(f"sqlite:///{tmp_path}/ecg.db")
    assert not result.success
    for name in REPORTS:
        assert f"there is no database at {tmp_path}/ecg.db yet; set ECG_DATABASE_URL" in failure(result, name)
    assert not (tmp_path / "ecg.db").exists()


@pytest.mark.parametrize("days", [0.0, -1.0])
def test_a_window_without_time_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        WindowConfig(days=days)
