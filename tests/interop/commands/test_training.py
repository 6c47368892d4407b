"""`train`, `train-curve` and `evaluate`, on a few real recordings."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.interop.commands.conftest import Command, Outcome
from tests.training.conftest import TINY, write_small
from training.registry import Registry
from training.tracking import Tracking, run_id

RECIPE = replace(TINY, epochs=1)


@pytest.fixture
def small(shared_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "ptbxl"
    folder.mkdir()
    return write_small(shared_data / "ptbxl", folder)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe, in a working directory of its own."""
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(asdict(RECIPE)))
    monkeypatch.chdir(tmp_path)
    return file


def _lines(outcome: Outcome) -> str:
    assert outcome.exit_code == 0, outcome.err
    return outcome.out.decode()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_release_comes_with_all_that_its_card_shows_and_is_found_in_the_registry(
    command: Command, small: Path, recipe: Path, shared_data: Path, tmp_path: Path
) -> None:
    drawn = _lines(command("train-curve", "--data", small, "--config", recipe, "--to", "curve.json", "--no-signal"))
    assert "12 recordings: macro-AUC val perceptron 0." in drawn

    words = ("train", "--data", small, "--kind", "ptbxl", "--workers", 1, "--run", "run", "--config", recipe)
    said = _lines(command(*words, "--release", "--curve", "curve.json"))
    assert "urgent rate by sex, lowest over highest: cannot be judged, 0.8 is needed" in said
    assert "registered in MLflow as tiny version 1, alias candidate" in said

    release = tmp_path / "models" / "tiny" / "0.1.0"
    card = json.loads((release / "card.json").read_text())
    assert {"val", "out-of-fold"} == set(card["metrics"])
    assert {"fairness", "calibration", "figures"} <= set(card)
    assert "figures/learning-curve.png" in card["figures"]

    tracking = Tracking(uri="sqlite:///var/mlflow.db")
    (version,) = Registry(tracking).versions("tiny")
    assert version.run_id == run_id(tmp_path / "run")

    elsewhere = ("--external", "chapman", shared_data / "chapman")
    first, second = _lines(command("evaluate", "--data", small, "--model", release, *elsewhere)).splitlines()
    assert first.startswith("macro-AUC val: 0.")
    assert second.startswith("macro-AUC external-chapman: 0.")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "--kind", "other"), "no data set 'other'"),
        (("evaluate", "--run", ".", "--split", "test"), "--split"),
        (("evaluate", "--curve", "recipe.json"), "--curve"),
        (("train", "--external", "chapman"), "--external"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    command: Command, recipe: Path, words: tuple[str, ...], says: str
) -> None:
    refused = command(words[0], "--data", ".", *words[1:])
    assert (refused.exit_code, refused.out) == (2, b"")
    (line,) = refused.err.splitlines()
    assert says in line
