import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.network import AMPLITUDE_COLUMNS, SignalBranch
from tests.training.conftest import TINY
from training.datasets.entry import Split
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.ptbxl import read_index
from training.distributed import Ranks
from training.epochs import LOG_FILE, Epoch
from training.losses import class_weights
from training.signal_branch import CHECKPOINT_FILE, Material, Watch, signal_logits, train_signal, trained_branch


class Interrupted(Exception):
    """What stops a run in these tests."""


def _interrupt(epoch: Epoch) -> None:
    raise Interrupted


@pytest.fixture(scope="module")
def material(small_ptbxl: Path, cache: Path) -> Material:
    data = load_prepared(read_index(small_ptbxl, Split.TRAIN), cache)
    return Material(data, np.arange(8), load_prepared(read_index(small_ptbxl, Split.VAL), cache))


def _losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / LOG_FILE).read_text().splitlines()]


def test_a_run_that_was_stopped_and_resumed_gives_the_same_weights(
    material: Material, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole, stopped = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
    expected = train_signal(TINY, material, whole, Ranks())
    with pytest.raises(Interrupted):
        train_signal(TINY, material, stopped, Ranks(), Watch(on_epoch=_interrupt))
    assert len(_losses(stopped)) == 1
    found = train_signal(TINY, material, stopped, Ranks())
    assert _losses(stopped) == _losses(whole)
    assert all(torch.equal(found.weights[name], value) for name, value in expected.weights.items())


def test_a_finished_run_is_not_trained_again(material: Material, tmp_path: Path) -> None:
    first = train_signal(TINY, material, tmp_path, Ranks())
    again = train_signal(TINY, material, tmp_path, Ranks(), Watch(on_epoch=_interrupt))
    assert again.epochs == first.epochs
    assert again.best.macro_auc == max(e.macro_auc for e in first.epochs)


def test_another_seed_gives_another_run(material: Material, tmp_path_factory: pytest.TempPathFactory) -> None:
    once = replace(TINY, epochs=1)
    runs = [tmp_path_factory.mktemp("run") for _ in range(2)]
    for folder, seed in zip(runs, (7, 8), strict=True):
        train_signal(replace(once, seed=seed), material, folder, Ranks())
    assert _losses(runs[0]) != _losses(runs[1])


def test_without_validation_recordings_the_last_weights_are_kept(material: Material, tmp_path: Path) -> None:
    found = train_signal(TINY, replace(material, val=None), tmp_path, Ranks())
    assert found.best == found.epochs[-1]
    assert math.isnan(found.best.macro_auc)


def test_the_weight_of_the_classes_is_taken_off_the_released_logits(material: Material, tmp_path: Path) -> None:
    found = train_signal(TINY, material, tmp_path, Ranks())
    stored = torch.load(tmp_path / CHECKPOINT_FILE, weights_only=True)["best"]
    changed = {name for name in stored if not torch.equal(found.weights[name], stored[name])}
    assert changed == {"head.1.bias"}
    shift = torch.log(class_weights(material.labels, TINY.balance))
    torch.testing.assert_close(stored["head.1.bias"] - found.weights["head.1.bias"], shift)


def test_mixed_precision_learns_nearly_the_same(material: Material, tmp_path_factory: pytest.TempPathFactory) -> None:
    once = replace(TINY, epochs=1)
    full, mixed = (tmp_path_factory.mktemp(name) for name in ("full", "mixed"))
    train_signal(once, material, full, Ranks())
    found = train_signal(replace(once, mixed_precision=True), material, mixed, Ranks())
    assert _losses(mixed) != _losses(full)
    assert _losses(mixed) == pytest.approx(_losses(full), rel=0.05)
    assert all(value.dtype != torch.bfloat16 for value in found.weights.values())


def test_recordings_of_which_nothing_is_known_teach_nothing(material: Material, tmp_path: Path) -> None:
    unknown = np.full_like(material.data.labels, math.nan)
    found = train_signal(
        replace(TINY, epochs=1), Material(replace(material.data, labels=unknown), material.rows), tmp_path, Ranks()
    )
    assert found.epochs[0].loss == 0
    assert all(torch.isfinite(value).all() for value in found.weights.values())


def test_predictions_do_not_depend_on_the_batch(data: Prepared) -> None:
    branch = trained_branch(TINY, _fresh(TINY.dropout))
    together = signal_logits(branch, data, np.arange(5))
    alone = np.concatenate([signal_logits(branch, data, np.array([row])) for row in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert signal_logits(branch, data, np.zeros(0, np.intp)).shape == (0, 5)


def test_the_branch_is_given_the_amplitudes_of_the_features(data: Prepared) -> None:
    branch, rows = trained_branch(TINY, _fresh(TINY.dropout)), np.arange(3)
    features = np.array(data.features)
    features[:, AMPLITUDE_COLUMNS] *= 2
    larger, same = replace(data, features=features), replace(data, features=np.array(data.features))
    assert not np.allclose(signal_logits(branch, larger, rows), signal_logits(branch, data, rows))
    np.testing.assert_array_equal(signal_logits(branch, same, rows), signal_logits(branch, data, rows))


@pytest.fixture
def data(material: Material) -> Prepared:
    return material.data


def _fresh(dropout: float) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return SignalBranch(dropout).state_dict()
