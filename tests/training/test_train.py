import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.network import load_network
from tests.training.conftest import TINY
from training.train import Epoch, class_weights, feature_statistics, is_stopped, train


class Interrupted(Exception):
    """What stops a run in these tests."""


def _interrupt(epoch: Epoch) -> None:
    raise Interrupted


def _weights(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return weights


def _losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_weights_that_load_and_a_line_for_each_epoch(finished_run: Path) -> None:
    network = load_network(finished_run / "model.pt")
    assert not network.training
    losses = _losses(finished_run)
    assert len(losses) == TINY.epochs
    assert all(math.isfinite(loss) for loss in losses)


def test_a_run_that_was_stopped_and_resumed_gives_the_same_weights(
    finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(TINY, small_ptbxl, tmp_path, cache=cache, on_epoch=_interrupt)
    assert len(_losses(tmp_path)) == 1
    train(TINY, small_ptbxl, tmp_path, cache=cache)
    assert _losses(tmp_path) == _losses(finished_run)
    resumed, whole = _weights(tmp_path), _weights(finished_run)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_another_seed_gives_another_run(finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(replace(TINY, seed=8), small_ptbxl, tmp_path, cache=cache, on_epoch=_interrupt)
    assert _losses(tmp_path) != _losses(finished_run)[:1]


def test_a_finished_run_is_not_trained_again(finished_run: Path, small_ptbxl: Path, cache: Path) -> None:
    result = train(TINY, small_ptbxl, finished_run, cache=cache, on_epoch=_interrupt)
    assert [e.loss for e in result.epochs] == _losses(finished_run)
    assert result.best.macro_auc == max(e.macro_auc for e in result.epochs)


def test_a_folder_with_a_run_of_another_config_is_refused(
    finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    shutil.copy(finished_run / "config.json", tmp_path)
    with pytest.raises(ValueError, match="another config"):
        train(replace(TINY, seed=8), small_ptbxl, tmp_path, cache=cache)


def test_the_weight_of_the_classes_is_taken_off_the_released_logits(finished_run: Path) -> None:
    checkpoint = torch.load(finished_run / "checkpoint.pt", weights_only=True)["best"]
    released = _weights(finished_run)
    changed = {name for name in released if not torch.equal(released[name], checkpoint[name])}
    assert changed == {"signal_head.1.bias", "feature_head.bias"}
    shifts = [checkpoint[name] - released[name] for name in sorted(changed)]
    torch.testing.assert_close(shifts[0], shifts[1])
    assert (shifts[0] > 0).any()


def test_rare_classes_weigh_more_and_absent_ones_are_left_alone() -> None:
    labels = np.zeros((100, 5), np.float32)
    labels[:50, 0] = 1
    labels[:10, 1] = 1
    assert class_weights(labels, 1).tolist() == [1, 9, 1, 1, 1]
    assert class_weights(labels, 0.5).tolist() == [1, 3, 1, 1, 1]


def test_statistics_leave_out_what_is_unknown_and_survive_a_column_without_values() -> None:
    features = np.array([[1, math.nan, 5], [3, math.nan, 5], [math.nan, math.nan, 5]], np.float32)
    statistics = feature_statistics(features)
    assert statistics.median.tolist() == [2, 0, 5]
    assert statistics.std[1:].tolist() == [1, 1], "a constant column is not divided by zero"


def test_a_run_stops_when_patience_is_over() -> None:
    epochs = [Epoch(0, 1.0, 0.6, True), Epoch(1, 1.0, 0.7, True), Epoch(2, 1.0, 0.7, False)]
    assert not is_stopped(epochs, 2)
    assert is_stopped([*epochs, Epoch(3, 1.0, 0.6, False)], 2)
    assert not is_stopped([], 2)
