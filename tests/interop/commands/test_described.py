"""`model attributes` and `model documents`."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.interop.commands.conftest import Command
from tests.releases import point, release

SHIPPED = ROOT / "models/resnet18-ptbxl/0.3.0"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two releases, the newer one active."""
    folder = tmp_path / "models"
    for version in ("1.0.0", "2.0.0"):
        release(folder, version)
    point(folder, "fixed/2.0.0")
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_attributes_of_the_model_that_is_served_are_markdown_or_json(command: Command, models: Path) -> None:
    printed = command("model", "attributes")
    assert (printed.exit_code, printed.err) == (0, "")
    assert printed.out.decode().startswith("# Source attributes of fixed 2.0.0\n")
    assert json.loads(command("model", "attributes", "--json").out)["model"]["version"] == "2.0.0"


def test_another_release_is_named(command: Command, models: Path) -> None:
    assert json.loads(command("model", "attributes", "fixed", "1.0.0", "--json").out)["model"]["version"] == "1.0.0"


def test_the_rules_are_those_in_force(command: Command, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = json.loads((ROOT / "actions/policy.json").read_text())
    own = models.parent / "rules.json"
    own.write_text(json.dumps({**rules, "name": "hospital", "version": "7.0.0"}))
    monkeypatch.setenv("ECG_RULES", str(own))
    found = json.loads(command("model", "attributes", "--json").out)["rules"]
    assert (found["name"], found["version"]) == ("hospital", "7.0.0")


def test_documents_are_written_anew(command: Command, models: Path) -> None:
    done = command("model", "documents", "fixed", "1.0.0")
    assert (done.exit_code, done.err) == (0, "")
    assert (models / "fixed/1.0.0/SOURCE_ATTRIBUTES.md").read_text().startswith("# Source attributes of fixed 1.0.0")


def test_data_that_it_did_not_learn_from_are_wrong_usage(command: Command, models: Path, tmp_path: Path) -> None:
    shutil.copy(SHIPPED / "card.json", models / "fixed/2.0.0")
    refused = command("model", "documents", "--data", tmp_path)
    assert refused.exit_code == 2
    assert len(refused.err.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [("attributes", "fixed"), ("documents", "fixed")], ids=" ".join)
def test_a_name_without_a_version_is_wrong_usage(command: Command, models: Path, words: tuple[str, ...]) -> None:
    assert command("model", *words).exit_code == 2


def test_a_release_that_is_not_there_is_named(command: Command, models: Path) -> None:
    failed = command("model", "attributes", "fixed", "9.0.0")
    assert failed.exit_code == 1
    assert "there is no such release" in failed.err
