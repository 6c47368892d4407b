from pathlib import Path

import pytest

from training.looks import looks, open_look


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
