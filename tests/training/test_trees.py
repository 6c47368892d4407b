import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inference.boosted_trees import TreeBranch
from tests.training.conftest import TINY
from training.trees import UNSEEN_LOGIT, boost, round_down, train_trees

COLUMNS = 12
RECIPE = replace(TINY, trees=25, tree_depth=4, tree_leaves=10, tree_smallest_leaf=5, tree_columns=0.6)

Array = NDArray[np.float32]


def _material(recordings: int = 400, seed: int = 0) -> tuple[Array, Array]:
    """Features of which some are unknown, one is never unknown and one takes few values; labels that depend on them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(recordings, COLUMNS)).astype(np.float32)
    features[:, 3] = rng.integers(0, 3, recordings)
    hidden = rng.random(features.shape) < 0.2
    hidden[:, :2] = False
    features[hidden] = math.nan
    score = features[:, 0] + np.nan_to_num(features[:, 2]) + np.isnan(features[:, 4])
    labels = np.stack([score > cut for cut in (-1, 0, 0.5, 1, 1.5)], axis=1).astype(np.float32)
    return features, labels


def _by_library(features: Array, truth: Array, given: Array) -> NDArray[np.float64]:
    return np.asarray(boost(RECIPE, features, truth).predict(given, raw_score=True), np.float64)


def test_the_module_says_what_the_library_says() -> None:
    features, labels = _material()
    branch = TreeBranch.of(train_trees(RECIPE, features, labels), COLUMNS)
    unseen, _ = _material(300, seed=1)
    unseen[:40, :2] = math.nan  # unknown where nothing was unknown in training
    unseen[40:50] = math.nan
    unseen[50:60] *= 1e6
    expected = np.stack([_by_library(features, truth, unseen) for truth in labels.T], axis=1)
    np.testing.assert_allclose(branch(torch.from_numpy(unseen)), expected, atol=2e-6)


def test_values_on_a_threshold_take_the_side_that_the_library_takes() -> None:
    features, labels = _material()
    tables = train_trees(RECIPE, features, labels)
    used = tables.threshold[0][np.isfinite(tables.threshold[0])]
    edges = np.unique(used[np.abs(used) > 1e-30])  # nearer to zero the library sees zero
    on_it = np.tile(features[:1], (2 * len(edges), 1))
    for column in range(COLUMNS):
        on_it[: len(edges), column] = edges
        on_it[len(edges) : 2 * len(edges), column] = np.nextafter(edges, np.float32(np.inf))
        expected = _by_library(features, labels[:, 0], on_it)
        found = TreeBranch.of(tables, COLUMNS)(torch.from_numpy(on_it))[:, 0]
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("threshold", [0.1, -0.1, 1.0, 0.0, 1e-35, 3.3e7 + 0.123, -3.3e7 - 0.123])
def test_a_rounded_threshold_parts_the_same_numbers(threshold: float) -> None:
    rounded = round_down(threshold)
    for value in (np.nextafter(rounded, np.float32(-np.inf)), rounded, np.nextafter(rounded, np.float32(np.inf))):
        assert (value <= rounded) == (float(value) <= threshold)


def test_a_threshold_beyond_all_float32_lets_everything_pass_or_is_refused() -> None:
    assert round_down(1e300) == np.finfo(np.float32).max
    with pytest.raises(ValueError, match="no float32"):
        round_down(-1e300)


def test_recordings_of_unknown_label_are_left_out() -> None:
    features, labels = _material()
    labels[::2, 1] = math.nan
    tables, without = train_trees(RECIPE, features, labels), train_trees(RECIPE, features[1::2], labels[1::2])
    assert (tables.leaf[1] == without.leaf[1]).all()
    assert not (tables.leaf[0] == without.leaf[0]).all()


def test_a_class_without_both_kinds_gets_a_constant() -> None:
    features, labels = _material()
    labels[:, 2], labels[:, 3] = 0, 1
    labels[:, 4] = math.nan
    tables = train_trees(RECIPE, features, labels)
    np.testing.assert_allclose(tables.base, [0, 0, UNSEEN_LOGIT, -UNSEEN_LOGIT, UNSEEN_LOGIT], rtol=1e-6)
    assert not tables.leaf[2:].any()


def test_the_same_seed_gives_the_same_trees_and_another_gives_others() -> None:
    features, labels = _material()
    first, again = (train_trees(RECIPE, features, labels) for _ in range(2))
    other = train_trees(replace(RECIPE, seed=8), features, labels)
    assert (first.leaf == again.leaf).all()
    assert not (first.leaf == other.leaf).all()
