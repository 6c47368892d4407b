"""`promote`: the gate at the command line, with a real MLflow store behind it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.artifact import find_model
from inference.pointer import read_pointer
from tests.conftest import ROOT
from tests.interop.commands.conftest import Command
from tests.releases import change_card, point, release

INTERVAL = {"value": 0.93, "low": 0.90, "high": 0.95}
FAIR = {"sex": {"parity_ratio": INTERVAL}, "age": {"predicted_to_true_ratio": INTERVAL}}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """./models of a folder of its own: the shipped weights, a good test score, fairness not assessed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ECG_PRECISION", "fp32")
    shipped = find_model(ROOT / "models")
    folder = tmp_path / "models" / shipped.parent.name / shipped.name
    shutil.copytree(shipped, folder)
    card = json.loads((folder / "card.json").read_text())
    card.pop("fairness", None)
    (folder / "card.json").write_text(json.dumps(card))
    metrics = {**card["metrics"], "test": {**card["metrics"]["val"], "macro_auc": INTERVAL}}
    change_card(folder, metrics=metrics, status="candidate")
    release(tmp_path / "models", "1.0.0")
    point(tmp_path / "models", "fixed/1.0.0")
    return tmp_path / "models"


@pytest.fixture
def fair(tmp_path: Path) -> Path:
    """A fairness report that passes."""
    file = tmp_path / "fair.json"
    file.write_text(json.dumps(FAIR))
    return file


def only_card(models: Path) -> dict[str, Any]:
    """Of the shipped weights."""
    (path,) = (path for path in models.glob("*/*/card.json") if path.parents[1].name != "fixed")
    card: dict[str, Any] = json.loads(path.read_text())
    return card


def test_a_model_that_passes_becomes_the_champion_in_card_registry_and_pointer(
    command: Command, models: Path, fair: Path
) -> None:
    done = command("promote", "--fairness", fair, "--latency-limit", "10000", "--json")
    assert done.exit_code == 0, done.err
    assert json.loads(done.out)["promoted"] is True
    card = only_card(models)
    assert (card["status"], "waiver" in card) == ("champion", False)
    assert {row["passed"] for row in card["promotion"]["conditions"]} == {True}
    pointer = read_pointer(models)
    assert pointer.path == f"{card['name']}/{card['version']}"
    assert (pointer.history[-1].step, pointer.previous) == ("promote", "fixed/1.0.0")
    from training.registry import Registry
    from training.tracking import Tracking

    registered = Registry(Tracking(uri="sqlite:///var/mlflow.db")).by_alias(card["name"], "champion")
    assert (registered.sha256, registered.status) == (card["files"]["model.onnx"], "champion")
    assert (registered.aliases, registered.path) == (("champion",), pointer.path)


def test_a_waiver_lets_it_pass_without_fairness_and_the_card_says_who_why_and_what(
    command: Command, models: Path
) -> None:
    done = command(
        "promote", "--waive", "fairness", "--by", "Ada", "--reason", "a pilot", "--latency-limit", "10000"
    )  # fmt: skip
    assert done.exit_code == 0, done.err
    assert "fairness not assessed" in done.out.decode()
    card = only_card(models)
    assert (card["status"], card["waiver"]["by"], card["waiver"]["reason"]) == ("champion", "Ada", "a pilot")
    readme = (models / card["name"] / card["version"] / "README.md").read_text()
    assert "Champion by waiver: fairness not assessed" in readme
    assert "fairness not assessed" in command("model", "list").out.decode()


def test_a_model_that_fails_stays_a_candidate_and_every_failed_condition_is_told(
    command: Command, models: Path
) -> None:
    card = only_card(models)
    folder = models / card["name"] / card["version"]
    low = {**card["metrics"]["test"], "macro_auc": {"value": 0.8893, "low": 0.85, "high": 0.92}}
    change_card(folder, metrics={**card["metrics"], "test": low})
    refused = command("promote", "--latency-limit", "0.001")
    assert refused.exit_code == 1
    for expected in ("0.8893, more than 0.9 is needed; fails by 0.0107", "by sex", "by age", "forward pass p99"):
        assert expected in refused.err
    assert only_card(models)["status"] == "candidate"
    assert read_pointer(models).path == "fixed/1.0.0"
    assert not Path("var/mlflow.db").exists()


def test_changed_weights_fail_the_gate(command: Command, models: Path, fair: Path) -> None:
    card = only_card(models)
    with (models / card["name"] / card["version"] / "model.onnx").open("ab") as weights:
        weights.write(b"changed")
    refused = command("promote", "--fairness", fair)
    assert refused.exit_code == 1
    assert "files whose checksum does not hold: 1, at most 0 is needed; fails by 1" in refused.err


@pytest.mark.parametrize(
    "words",
    [("--waive", "fairness"), ("--waive", "fairness", "--by", "Ada"), ("--waive", "fairness", "--reason", "why"),
     ("--waive", "macro-auc", "--by", "Ada", "--reason", "why"), ("fixed",), ("--fairness", "absent.json")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(command: Command, models: Path, words: tuple[str, ...]) -> None:
    refused = command("promote", *words)
    assert refused.exit_code == 2
    assert len(refused.err.strip().splitlines()) == 1
    assert only_card(models)["status"] == "candidate"


def test_without_a_name_there_must_be_exactly_one_candidate(command: Command, models: Path) -> None:
    release(models, "2.0.0", status="candidate")
    refused = command("promote")
    assert refused.exit_code == 1
    assert "fixed 2.0.0" in refused.err
