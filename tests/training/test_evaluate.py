from pathlib import Path

import pytest

from inference.artifact import load_artifact
from tests.conftest import ROOT
from training.datasets.entry import Split
from training.datasets.ptbxl import read_index
from training.evaluate import evaluate, evaluate_external
from training.export import Exported
from training.looks import AlreadyLooked, looks


def test_the_validation_fold_is_scored_and_written_into_the_card(
    exported: Exported, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    log = tmp_path / "looks.jsonl"
    evaluation = evaluate(exported.folder, small_ptbxl, looks=log, cache=cache)
    card = load_artifact(exported.folder).card
    assert evaluation.assessment.recordings == card["metrics"]["val"]["recordings"] == 8
    assert card["groups"]["sex"]["female"]["judgement"] == "too few to judge"
    assert looks(log) == [], "validation is no look at the test split"


def test_a_look_at_the_test_split_is_appended_with_the_checksum_and_the_score(
    exported: Exported, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    log = tmp_path / "looks.jsonl"
    evaluation = evaluate(exported.folder, small_ptbxl, Split.TEST, looks=log, cache=cache)
    (entry,) = looks(log)
    artifact = load_artifact(exported.folder)
    assert entry["sha256"] == artifact.info().sha256
    assert entry["macro_auc"] == evaluation.assessment.macro_auc.value
    assert artifact.card["metrics"]["test"]["recordings"] == 6
    assert artifact.card["test_looks"] == {"of_this_model": 1, "of_all_models": 1}
    with pytest.raises(AlreadyLooked):
        evaluate(exported.folder, small_ptbxl, Split.TEST, looks=log, cache=cache)
    assert len(looks(log)) == 1


def test_recordings_of_another_source_are_scored_under_their_own_name(
    exported: Exported, small_ptbxl: Path, cache: Path
) -> None:
    entries = read_index(small_ptbxl, Split.VAL)
    evaluation = evaluate_external(exported.folder, entries, "elsewhere", cache=cache)
    card = load_artifact(exported.folder).card
    assert card["metrics"]["external-elsewhere"]["recordings"] == len(evaluation.probabilities) == 8
    assert "external-elsewhere" in (exported.folder / "README.md").read_text()


def test_the_test_split_is_not_read_when_the_look_cannot_be_written_down(
    exported: Exported, small_ptbxl: Path, tmp_path: Path
) -> None:
    (tmp_path / "looks.jsonl").mkdir()
    empty = tmp_path / "cache"
    with pytest.raises(IsADirectoryError):
        evaluate(exported.folder, small_ptbxl, Split.TEST, looks=tmp_path / "looks.jsonl", cache=empty)
    assert not empty.exists()


def test_no_other_module_opens_a_look() -> None:
    users = {path.name for path in (ROOT / "training").rglob("*.py") if "open_look(" in path.read_text()}
    assert users == {"looks.py", "evaluate.py"}
