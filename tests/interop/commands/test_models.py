"""`model`, and what `train` and `evaluate` refuse before they begin."""

import json
import shutil
from pathlib import Path

import pytest

from inference.artifact import find_model
from tests.interop.commands.conftest import Command, Outcome
from tests.releases import change_card, release


def one_line(outcome: Outcome) -> str:
    (line,) = outcome.err.strip().splitlines()
    assert "Traceback" not in line
    return line


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the shipped model, alone in ./models of a folder of its own."""
    shipped = find_model(None).resolve()
    folder = tmp_path / "models" / "shipped" / "1"
    shutil.copytree(shipped, folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_released_models_are_listed_with_status_and_figures(
    command: Command, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    card = json.loads((released / "card.json").read_text())
    listed = command("model", "list")
    assert (listed.exit_code, listed.err) == (0, "")
    for expected in (
        card["name"],
        card["version"],
        card["status"],
        f"{card['metrics']['val']['macro_auc']['value']:.3f}",
    ):
        assert expected in listed.out.decode()


def test_released_models_are_json_for_a_program(command: Command, released: Path) -> None:
    (listed,) = json.loads(command("model", "list", "--json").out)
    card = json.loads((released / "card.json").read_text())
    assert listed == card | {"active": False, "not_servable": []}


def test_the_list_says_which_one_is_active_and_which_was_made_for_another_version(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        release(tmp_path / "models", version)
    change_card(tmp_path / "models/fixed/1.1.0", features={"version": "0", "names": []})
    assert command("model", "activate", "fixed", "1.0.0", "--by", "Ada").exit_code == 0
    first, second = json.loads(command("model", "list", "--json").out)
    assert (first["active"], first["not_servable"]) == (True, [])
    assert second["active"] is False
    assert "trained with features 0" in second["not_servable"][0]


def test_a_model_that_cannot_be_served_is_not_activated(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = release(tmp_path / "models", "1.0.0")
    (folder / "model.onnx").write_bytes(b"another")
    refused = command("model", "activate", "fixed", "1.0.0")
    assert refused.exit_code == 1
    assert "SHA-256" in one_line(refused)
    assert not (tmp_path / "models/champion.json").exists()


def test_there_is_nothing_to_roll_back_to_before_the_second_activation(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    release(tmp_path / "models", "1.0.0")
    assert command("model", "activate", "fixed", "1.0.0").exit_code == 0
    refused = command("model", "rollback")
    assert refused.exit_code == 1
    assert "no model was active before" in one_line(refused)


def test_no_released_model_is_a_failure_that_names_the_folder(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = command("model", "list")
    assert failed.exit_code == 1
    assert str(tmp_path / "models") in one_line(failed)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"name": 7}'])
def test_a_broken_card_is_named_and_not_listed(command: Command, released: Path, content: str) -> None:
    (released / "card.json").write_text(content)
    failed = command("model", "list")
    assert (failed.exit_code, failed.out) == (1, b"")
    assert one_line(failed).count("models/shipped/1/card.json") == 1


def test_a_model_that_is_not_as_it_was_released_is_not_listed(command: Command, released: Path) -> None:
    with (released / "model.onnx").open("ab") as weights:
        weights.write(b"changed")
    failed = command("model", "list")
    assert (failed.exit_code, failed.out) == (1, b"")
    assert "SHA-256" in one_line(failed)


@pytest.mark.parametrize(
    "words",
    [("model", "burn"), ("train",), ("train", "--data", "absent"), ("evaluate", "--data", "absent"),
     ("evaluate", "--data", ".", "--split", "train"), ("train", "--data", ".", "--config", "absent.json")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(command: Command, words: tuple[str, ...]) -> None:
    refused = command(*words)
    assert (refused.exit_code, refused.out) == (2, b"")
    assert one_line(refused)


def test_a_folder_without_the_data_set_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    refused = command("train", "--data", tmp_path, "--run", tmp_path / "run")
    assert refused.exit_code == 2
    assert "Traceback" not in refused.err
