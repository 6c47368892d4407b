import json
import math
from pathlib import Path

from training.epochs import LOG_FILE, Epoch, append_epoch, is_better, is_stopped, read_epochs


def test_a_run_stops_when_patience_is_over() -> None:
    epochs = [Epoch(0, 1.0, 0.6, True), Epoch(1, 1.0, 0.7, True), Epoch(2, 1.0, 0.7, False)]
    assert not is_stopped(epochs, 2)
    assert is_stopped([*epochs, Epoch(3, 1.0, 0.6, False)], 2)
    assert not is_stopped([], 2)


def test_only_a_higher_score_is_better() -> None:
    epochs = [Epoch(0, 1.0, 0.6, True), Epoch(1, 1.0, 0.7, True)]
    assert is_better(0.71, epochs)
    assert not is_better(0.7, epochs)


def test_without_validation_the_latest_weights_are_the_ones_to_keep() -> None:
    assert is_better(math.nan, [Epoch(0, 1.0, math.nan, True)])


def test_a_line_of_the_log_is_json_even_without_a_score(tmp_path: Path) -> None:
    append_epoch(tmp_path, Epoch(0, 0.5, 0.75, True))
    append_epoch(tmp_path, Epoch(1, 0.4, math.nan, True))
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert lines == [
        {"epoch": 0, "loss": 0.5, "macro_auc": 0.75, "best": True},
        {"epoch": 1, "loss": 0.4, "macro_auc": None, "best": True},
    ]


def test_a_log_is_read_again_with_the_last_word_on_each_epoch(tmp_path: Path) -> None:
    """A run that was killed between log and checkpoint trains that epoch again."""
    for epoch in (Epoch(0, 0.5, 0.75, True), Epoch(1, 0.4, 0.7, False), Epoch(1, 0.4, 0.8, True)):
        append_epoch(tmp_path, epoch)
    append_epoch(tmp_path, Epoch(2, 0.3, math.nan, True))
    first, second, unscored = read_epochs(tmp_path)
    assert (first, second) == (Epoch(0, 0.5, 0.75, True), Epoch(1, 0.4, 0.8, True))
    assert math.isnan(unscored.macro_auc)
