"""`monitor drift`, `reference` and `trial`: a hospital's own reference, and what is said where something is missing."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.records import AcknowledgementState, ProcessingState, Received
from audit.store import open_store
from audit.upgrade import upgrade
from inference.artifact import find_model, load_artifact
from interop.commands import drift
from interop.settings import Settings
from tests.interop.commands.conftest import Command
from tests.training.monitoring.ecgs import ecgs
from training.monitoring.trial import Detected, Trial
from training.reference import read_reference
from training.shifts import SHIFTS

NOW = datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with made-up traffic of the model that serves."""
    url = f"sqlite:///{tmp_path}/ecg.db"
    monkeypatch.setenv("ECG_DATABASE_URL", url)
    monkeypatch.setenv("COLUMNS", "200")
    model = load_artifact(find_model(None)).info()
    came = Received(door="mllp", content=b"{}", media_type="", received_at=NOW, correlation_id="c")
    upgrade(url)
    store = open_store(url, chain_id="test")
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(came, ProcessingState.ANALYSED, AcknowledgementState.NOT_OWED)
        for place, row in enumerate(ecgs(320, seed=1, model_name=model.name, model_version=model.version)):
            at = NOW - timedelta(minutes=400 - place)
            uow.analyses.add(replace(row, inbox_id=inbox, analyzed_at=at))
    store.close()
    return url


@pytest.mark.slow
def test_a_hospital_compares_with_traffic_of_its_own(
    database: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.parquet"
    made = command("monitor", "reference", "-o", file, "--ecgs", 310)
    assert (made.exit_code, made.err) == (0, "")
    assert b"310 ECGs, outputs of 310" in made.out
    assert len(read_reference(file).inputs) == 310
    monkeypatch.setenv("ECG_MONITORING_REFERENCE", str(file))
    told = command("monitor", "drift", "--json")
    report = json.loads(told.out)
    assert report["compared_with"]["source"].startswith("live traffic of ")
    assert (told.exit_code, report["flag"], report["analyses"]) == (0, False, 300)


@pytest.mark.parametrize("options", [(), ("-o", "x", "--data", ".")])
def test_a_reference_is_of_one_of_two_things(options: tuple[str, ...], command: Command) -> None:
    told = command("monitor", "reference", *options)
    assert told.exit_code == 2
    assert "--output for live traffic, or --data for a release" in told.err


def test_a_model_without_a_reference_says_what_to_do(
    database: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECG_MONITORING_REFERENCE", str(tmp_path / "none"))
    told = command("monitor", "drift")
    assert told.exit_code != 0
    assert "is not there; `ecg-interop monitor reference` makes one" in told.err
    assert len(told.err.splitlines()) == 1


def test_without_evidently_it_says_how_to_get_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "NEEDED", ("evidently", "no_such_package"))
    told = command("monitor", "drift")
    assert (told.exit_code, told.out) == (2, b"")
    assert told.err == "this needs Evidently: make test sets up .venv-dev, or pip install '.[monitor]'\n"


def test_a_trial_is_told_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    missed = Detected(shift=SHIFTS["hum"], recordings=9, ecgs=(30, None, 50), families=("signal",))
    drift.show_trial(
        Trial(recordings=9, windows=300, false_alarms=3, high=0.026, flagged=Counter(), detected=(missed,))
    )
    told = capsys.readouterr().out
    assert "missed in 1 of 3" in told
    assert "false alarms: 3 of 300 windows (1.0%, below 2.6% with 95 % confidence)" in told


def test_the_reference_of_the_shipped_model_is_there() -> None:
    found = drift.load_reference(Settings())
    assert (len(found.inputs), len(found.outputs)) == (1490, 242)
    assert found.agreement["MI"] == (202, 242)
