from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actions.analysis import Door, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from inference.classifier import load_classifier
from interop.replay_report import lines, replayed
from interop.replay_source import Signal, Source
from interop.settings import Settings
from tests.fakes import FixedClock, SequentialIds
from tests.interop.service import flat_ecg, real_ecg
from tests.releases import release


@pytest.fixture
def models(tmp_path: Path) -> Path:
    release(tmp_path, "1.0.0")
    return tmp_path


@pytest.fixture
def settings(models: Path) -> Settings:
    return Settings(_env_file=None, model=models)


def source(models: Path, recording: Any = None, **changed: Any) -> Source:
    recording = recording or real_ecg()
    classify = load_classifier(models / "fixed" / "1.0.0")
    use = Analyze(classify=classify, policy=load_policy(None), clock=FixedClock(), ids=SequentialIds())
    past = use(recording, RequestContext(door=Door.FHIR, received_at=FixedClock().now, correlation_id="c"))
    model = past.prediction.model if past.prediction else None
    policy = past.policy
    entry = {
        "analysis": str(past.id),
        "urgency": past.urgency.value,
        "model": model and {"name": model.name, "version": model.version, "sha256": model.sha256},
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
    }
    given: dict[str, Any] = {
        "past": past, "entry": entry, "ecg": "Observation/1/_history/1", "recording": recording,
        "signal": Signal.STORED, "same": True, "notes": (), "features": past.features,
    }  # fmt: skip
    return Source(**(given | changed))


def test_the_same_is_identical_without_a_finding(models: Path, settings: Settings) -> None:
    report = replayed(source(models), settings)
    assert (report["verdict"], report["findings"], report["differences"]) == ("identical", [], [])
    assert report["model"]["version"] == "1.0.0"


def test_what_nobody_could_read_is_replayed_without_a_model(models: Path, settings: Settings) -> None:
    report = replayed(source(models, flat_ecg()), settings)
    assert (report["verdict"], report["model"]) == ("identical", None)
    assert "model     none" in list(lines(report))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"urgency": "none"}, "urgency"),
        ({"model": None}, "model"),
        ({"policy": {"name": "x"}}, "policy"),
        ({"analysis": "other"}, "analysis"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_entry_that_says_otherwise_is_a_difference(
    models: Path, settings: Settings, changed: dict[str, Any], field: str
) -> None:
    found = source(models)
    report = replayed(replace(found, entry={**(found.entry or {}), **changed}), settings)
    assert [one["field"] for one in report["differences"]] == [f"audit entry: {field}"]
    assert list(lines(report))[-1] == "different: 1 differences"


@pytest.mark.parametrize(
    ("same", "verdict", "tolerance", "said"),
    [(False, "alike within the tolerance", 1e-3, "not to the bit"), (None, "identical", 0.0, "nothing proves")],
)
def test_a_signal_that_is_not_proven_is_told(
    models: Path, settings: Settings, same: bool | None, verdict: str, tolerance: float, said: str
) -> None:
    report = replayed(source(models, same=same), settings)
    assert (report["verdict"], report["tolerance"]) == (verdict, tolerance)
    assert said in "\n".join(lines(report))


def test_the_window_of_now_is_used_and_told(models: Path) -> None:
    recording = replace(real_ecg(), recorded_at=FixedClock().now - timedelta(hours=2))
    narrow = Settings(_env_file=None, model=models, acute_window=timedelta(hours=1))
    report = replayed(source(models, recording), narrow)
    assert report["acute_window_hours"] == 1
    assert "archived" in [one["field"] for one in report["differences"]]
    assert any("ECG_ACUTE_WINDOW of now" in line for line in lines(report))
