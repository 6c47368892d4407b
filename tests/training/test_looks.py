import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from training.looks import AlreadyLooked, Purpose, looks, open_look, scored
from training.readme import NOT_LOOKED_AT


def test_a_look_is_written_down_with_date_commit_checksum_and_score(tmp_path: Path) -> None:
    log = tmp_path / "models" / "test_looks.jsonl"
    with open_look(log, commit="abc", sha256="12") as look:
        look.macro_auc = 0.9
    (entry,) = looks(log)
    assert (entry["commit"], entry["sha256"], entry["macro_auc"]) == ("abc", "12", 0.9)
    assert str(entry["date"]).endswith("+00:00")


def test_a_look_that_fails_half_way_counts_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "looks.jsonl"
    with pytest.raises(RuntimeError, match="half way"), open_look(log, commit=None, sha256="12"):
        raise RuntimeError("half way")
    (entry,) = looks(log)
    assert entry["macro_auc"] is None


def test_looks_add_up(tmp_path: Path) -> None:
    log = tmp_path / "looks.jsonl"
    assert looks(log) == []
    for number in range(3):
        with open_look(log, commit=None, sha256=str(number)):
            pass
    assert [entry["sha256"] for entry in looks(log)] == ["0", "1", "2"]


def test_a_look_is_closed_when_it_is_over(tmp_path: Path) -> None:
    with open_look(tmp_path / "looks.jsonl", commit=None, sha256="") as look:
        assert look.open
    assert not look.open


def test_nothing_can_be_looked_at_where_the_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "looks.jsonl").mkdir()
    reached = False
    with pytest.raises(IsADirectoryError), open_look(tmp_path / "looks.jsonl", commit=None, sha256=""):
        reached = True
    assert not reached


def test_weights_that_have_their_figure_are_not_looked_at_again(tmp_path: Path) -> None:
    log = tmp_path / "looks.jsonl"
    with open_look(log, commit=None, sha256="12") as look:
        look.macro_auc = 0.9
    with pytest.raises(AlreadyLooked, match="has been looked at"), open_look(log, commit=None, sha256="12"):
        pytest.fail("the test split was given out twice")
    assert len(looks(log)) == 1


def test_a_look_that_failed_may_be_repeated_and_both_are_on_record(tmp_path: Path) -> None:
    log = tmp_path / "looks.jsonl"
    with open_look(log, commit=None, sha256="12"):
        pass
    with open_look(log, commit=None, sha256="12") as look:
        look.macro_auc = 0.9
    assert len(looks(log)) == 2
    assert len(scored(log, "12")) == 1


def _scored(log: Path) -> Path:
    with open_look(log, commit=None, sha256="12") as look:
        look.macro_auc = 0.9
    return log


def test_cards_of_weights_that_have_their_figure_are_counted_once_and_leave_the_figure_alone(tmp_path: Path) -> None:
    log = _scored(tmp_path / "looks.jsonl")
    with open_look(log, commit=None, sha256="12", purpose=Purpose.CARDS) as look:
        look.note = "cards were counted"
        look.macro_auc = 0.5
    entry = looks(log)[-1]
    assert (entry["purpose"], entry["note"], entry["macro_auc"]) == ("cards", "cards were counted", None)
    assert len(scored(log, "12")) == 1
    with pytest.raises(AlreadyLooked, match="for cards before"):
        open_look(log, commit=None, sha256="12", purpose=Purpose.CARDS).__enter__()
    assert len(looks(log)) == 2


def test_a_count_that_failed_may_be_repeated(tmp_path: Path) -> None:
    log = _scored(tmp_path / "looks.jsonl")
    with (
        pytest.raises(RuntimeError, match="half way"),
        open_look(log, commit=None, sha256="12", purpose=Purpose.CARDS),
    ):
        raise RuntimeError("half way")
    with open_look(log, commit=None, sha256="12", purpose=Purpose.CARDS):
        pass
    assert len(looks(log)) == 3


def test_cards_are_not_counted_before_the_figure_is_taken(tmp_path: Path) -> None:
    log = tmp_path / "looks.jsonl"
    with pytest.raises(PermissionError, match="no figure"):
        open_look(log, commit=None, sha256="12", purpose=Purpose.CARDS).__enter__()
    assert looks(log) == []


def test_every_released_model_was_looked_at_exactly_once_or_says_that_it_was_not() -> None:
    log = ROOT / "models" / "test_looks.jsonl"
    cards = sorted((ROOT / "models").glob("*/*/card.json"))
    assert cards
    for path in cards:
        card = json.loads(path.read_text())
        found = scored(log, card["files"]["model.onnx"])
        if card["status"] == "candidate" and "test" not in card["metrics"]:
            assert not found, f"{path}: looked at, but its card does not show it"
            assert f"**test**: {NOT_LOOKED_AT}" in path.with_name("README.md").read_text()
        else:
            assert len(found) == 1, f"{path}: {len(found)} looks at the test fold have a figure"
            assert found[0]["macro_auc"] == pytest.approx(card["metrics"]["test"]["macro_auc"]["value"], abs=1e-4)
