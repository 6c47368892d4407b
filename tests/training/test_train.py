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
from training.branches import branch_logits
from training.datasets.entry import Split
from training.datasets.prepared import load_prepared
from training.datasets.ptbxl import read_index
from training.epochs import Epoch
from training.out_of_fold import OUT_OF_FOLD_FILE, OutOfFold
from training.scores import macro_auc, predict
from training.train import train, training_entries


class Interrupted(Exception):
    """What stops a run in these tests."""


def _interrupt(epoch: Epoch) -> None:
    raise Interrupted


def _interrupt_at(stage: str, at: str) -> None:
    if stage == at:
        raise Interrupted


def _weights(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return weights


def test_a_run_leaves_weights_that_load_and_a_line_for_each_epoch(finished_run: Path) -> None:
    assert not load_network(finished_run / "model.pt").training
    losses = [json.loads(line)["loss"] for line in (finished_run / "log.jsonl").read_text().splitlines()]
    assert len(losses) == TINY.epochs
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize("at", ["signal", "fold 2 of 2", "blend"])
def test_a_run_that_was_stopped_at_any_stage_and_resumed_gives_the_same_weights(
    at: str, finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(TINY, small_ptbxl, tmp_path, cache=cache, on_stage=lambda stage: _interrupt_at(stage, at))
    train(TINY, small_ptbxl, tmp_path, cache=cache)
    resumed, whole = _weights(tmp_path), _weights(finished_run)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_finished_run_is_not_trained_again(finished_run: Path, small_ptbxl: Path, cache: Path) -> None:
    before = _weights(finished_run)
    stages: list[str] = []
    result = train(TINY, small_ptbxl, finished_run, cache=cache, on_stage=stages.append, on_epoch=_interrupt)
    assert stages == ["signal", "fold 1 of 2", "fold 2 of 2", "features", "blend"]
    assert result.best.macro_auc == max(e.macro_auc for e in result.epochs)
    assert all(torch.equal(value, before[name]) for name, value in _weights(finished_run).items())


def test_the_result_tells_how_good_the_released_weights_are(finished_run: Path, small_ptbxl: Path, cache: Path) -> None:
    result = train(TINY, small_ptbxl, finished_run, cache=cache)
    val = load_prepared(read_index(small_ptbxl, Split.VAL), cache)
    assert result.macro_auc == macro_auc(val.labels, predict(load_network(result.weights), val))


def test_the_blend_of_the_folds_is_in_the_weights_and_their_predictions_beside_them(
    finished_run: Path, small_ptbxl: Path, cache: Path
) -> None:
    result = train(TINY, small_ptbxl, finished_run, cache=cache)
    np.testing.assert_allclose(_weights(finished_run)["blend.weights"], result.blend.weights, rtol=1e-6)
    stored = OutOfFold.load(finished_run / OUT_OF_FOLD_FILE)
    assert result.out_of_fold is not None
    np.testing.assert_array_equal(stored.probabilities, result.out_of_fold.probabilities)


def test_without_folds_all_branches_weigh_the_same(small_ptbxl: Path, cache: Path, tmp_path: Path) -> None:
    result = train(replace(TINY, epochs=1, folds=0), small_ptbxl, tmp_path, cache=cache)
    assert result.out_of_fold is None
    assert result.blend.weights == pytest.approx([1 / 3] * 3)
    assert not (tmp_path / OUT_OF_FOLD_FILE).exists()


def test_every_branch_of_the_released_network_says_something(
    finished_run: Path, small_ptbxl: Path, cache: Path
) -> None:
    data = load_prepared(training_entries(small_ptbxl), cache)
    logits = branch_logits(load_network(finished_run / "model.pt"), data, np.arange(len(data)))
    assert (logits.std(axis=0).max(axis=1) > 0).all()


def test_a_folder_with_a_run_of_another_config_is_refused(
    finished_run: Path, small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    shutil.copy(finished_run / "config.json", tmp_path)
    with pytest.raises(ValueError, match="another config"):
        train(replace(TINY, seed=8), small_ptbxl, tmp_path, cache=cache)
