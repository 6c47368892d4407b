"""`monitor` on a store with results of women and men: what is told, stored, and whom it alerts."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.records import AcknowledgementState, OverreadRow, ProcessingState, Received
from audit.store import open_store
from tests.audit.conftest import emptied_postgresql, migrated_postgresql, migrated_url, postgresql, sqlite_template
from tests.audit.values import analysis, shadow
from tests.interop.commands.conftest import Command

__all__ = ["emptied_postgresql", "migrated_postgresql", "migrated_url", "postgresql", "sqlite_template"]

NOW = datetime.now(UTC)
# The case of the reference system: groups of equal size, 36.4 % and 63.6 % of the urgent results.
GROUPS = {"female": 20, "male": 35}
SIZE = 100


@pytest.fixture
def database(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of each kind."""
    url = migrated_url.replace("postgresql://", "postgresql+psycopg2://")
    monkeypatch.setenv("ECG_DATABASE_URL", url)
    monkeypatch.setenv("COLUMNS", "200")
    at = NOW - timedelta(hours=3)
    came = Received(door="fhir", content=b"{}", media_type="", received_at=at, correlation_id="c")
    store = open_store(url, chain_id="test")
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(came, ProcessingState.ANALYSED, AcknowledgementState.NOT_OWED)
        for sex, urgent in GROUPS.items():
            for number in range(SIZE):
                one = analysis(f"{sex}-{number}", inbox)
                urgency = "urgent" if number < urgent else "routine"
                uow.analyses.add(
                    replace(one, sex=sex, age=50.0, mode="live", urgency=urgency, analyzed_at=at, detail=b"{}")
                )
        uow.overreads.add(
            OverreadRow(
                id="o-1",
                report_id="male-0",
                at=at,
                practitioner="Practitioner/7",
                status_before="preliminary",
                status_after="final",
                agreed=True,
                findings={"MI": True},
                detail=b"{}",
            )
        )
    store.close()
    return url


def test_bias_is_told_stored_and_alerts_once(database: str, command: Command) -> None:
    told = command("monitor", "bias", "--days", 1)
    assert (told.exit_code, told.err) == (0, "")
    assert b"FLAGGED: Urgent rate by sex. Lowest over highest 0.57" in told.out
    found = command("monitor", "bias", "--days", 1, "--json", "--fail-on-flag")
    assert found.exit_code == 1
    report = json.loads(found.out)
    assert report["flag"] is True
    assert report["groups"]["sex"]["ratio"] == pytest.approx(20 / 35)
    assert report["groups"]["sex"]["groups"]["female"]["n"] == SIZE
    store = open_store(database, chain_id="reader")
    with store.reader() as reader:
        assert [alert.key for alert in reader.alerts.list(open_only=False, limit=9)] == ["bias:sex"]
    store.close()


def test_without_a_model_in_shadow_mode_the_report_says_so(database: str, command: Command) -> None:
    told = command("monitor", "shadow", "--fail-on-flag")
    assert (told.exit_code, told.err) == (0, "")
    assert b"No model ran in shadow mode." in told.out
    assert json.loads(command("monitor", "shadow", "--json").out)["judgement"] == "nothing to compare"


def test_a_model_in_shadow_mode_is_told_beside_the_one_that_serves(database: str, command: Command) -> None:
    store = open_store(database, chain_id="shadow")
    with store.unit_of_work() as uow:
        for number in range(SIZE):
            said = shadow(f"male-{number}")
            uow.shadows.add(replace(said, urgency="urgent" if number < 95 else "routine"))
    store.close()
    told = command("monitor", "shadow", "--days", 1)
    assert (told.exit_code, told.err) == (0, "")
    assert b"ecg-resnet 1.1.0" in told.out
    assert b"FLAGGED: Urgent rates of the model in shadow mode. 35.0% as served, 95.0%" in told.out
    report = json.loads(command("monitor", "shadow", "--days", 1, "--json").out)
    assert (report["analyses"], report["overreads"]["n"], report["urgent"]["shadow_only"]) == (SIZE, 1, 60)
    assert (report["compared"]["compared"], report["compared"]["n"]) == (SIZE, 2 * SIZE)


def test_performance_is_told_and_stored(database: str, command: Command) -> None:
    told = command("monitor", "performance", "--days", 1)
    assert (told.exit_code, told.err) == (0, "")
    assert b"MI" in told.out
    report = json.loads(command("monitor", "performance", "--days", 1, "--json").out)
    assert {"classes", "latency", "errors", "window", "computed_at", "flag", "stale"} <= report.keys()
    assert report["classes"]["MI"]["n"] == 1


def test_without_a_database_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setenv("ECG_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    told = command("monitor", "bias")
    assert told.exit_code == 1
    assert "there is no database" in told.err
