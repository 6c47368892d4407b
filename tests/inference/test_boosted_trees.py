import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: only needed to train and for the torch back end")

import torch

from inference.boosted_trees import TreeBranch, TreeShape, TreeTables, shape_of

FEATURES = 3


def _tables() -> TreeTables:
    """Two classes with two trees of depth two. Class 0: tree 0 asks feature 0 against 1, then 1 against 5 (left) or 2
    against 7 (right), leaves 1 to 4; tree 1 is empty. Class 1 says its base alone."""
    splits, leaves = (2, 2, 3), (2, 2, 4)
    feature, threshold = np.zeros(splits, np.int64), np.full(splits, np.inf, np.float32)
    feature[0, 0], threshold[0, 0] = [0, 1, 2], [1, 5, 7]
    unknown_right = np.zeros(splits, np.bool_)
    unknown_right[0, 0] = [True, False, True]
    leaf = np.zeros(leaves, np.float32)
    leaf[0, 0] = [1, 2, 3, 4]
    return TreeTables(feature, threshold, unknown_right, leaf, base=np.array([10, 20], np.float32))


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ([0, 0, 0], 11),
        ([0, 6, 0], 12),
        ([2, 0, 0], 13),
        ([2, 0, 8], 14),
        ([1, 5, 8], 11),  # equal to the threshold: left
        ([np.nextafter(np.float32(1), np.float32(2)), 0, 8], 14),
        ([math.nan, 0, 0], 13),  # unknown goes right at the root
        ([math.nan, 0, math.nan], 14),
        ([0, math.nan, 0], 11),  # and left at the second split
        ([1e30, 0, -1e30], 13),
    ],
)
def test_every_recording_ends_in_the_leaf_of_its_features(features: list[float], expected: float) -> None:
    branch = TreeBranch.of(_tables(), FEATURES)
    assert branch(torch.tensor([features], dtype=torch.float32)).tolist() == [[expected, 20]]


def test_a_recording_is_judged_independently_of_its_batch() -> None:
    branch = TreeBranch.of(_tables(), FEATURES)
    features = torch.tensor([[0, 0, 0], [2, 0, 8], [math.nan, 0, 0]])
    assert branch(features)[:, 0].tolist() == [11, 14, 13]
    assert branch(features[1:2])[:, 0].tolist() == [14]


@pytest.mark.parametrize("shape", [TreeShape(5, 1, 1), TreeShape(5, 200, 4), TreeShape(2, 3, 6)])
def test_the_shape_can_be_read_from_the_buffers(shape: TreeShape) -> None:
    state = TreeBranch(shape).state_dict()
    assert shape_of(state["base"], state["column"], state["leaf"]) == shape


def test_an_empty_module_says_nothing() -> None:
    assert TreeBranch(TreeShape(5, 2, 3))(torch.randn(4, FEATURES)).tolist() == [[0] * 5] * 4


def test_it_has_nothing_to_train() -> None:
    assert not list(TreeBranch.of(_tables(), FEATURES).parameters())


def test_tables_that_do_not_fit_each_other_are_refused() -> None:
    tables = _tables()
    with pytest.raises(ValueError, match="tables of shapes"):
        TreeTables(tables.feature[:, :1], tables.threshold, tables.unknown_right, tables.leaf, tables.base)
