"""Boosted trees on the clinical features: one LightGBM model per superclass, as tables for `inference.boosted_trees`.

LightGBM (Ke et al., NeurIPS 2017) compares in float64, the network in float32. A feature is a float32 anyway, so that
a threshold can be rounded down to the next float32 without any feature changing sides. (LightGBM also takes what is
within 1e-35 of zero for zero; no amplitude, duration or ratio is that small without being zero.)
"""

import math
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from inference.boosted_trees import TreeShape, TreeTables
from training.config import TrainingConfig

# A class of which one kind only was seen: the odds that an unseen recording is of the other kind, one in a hundred.
UNSEEN_LOGIT = -math.log(99)
LARGEST = float(np.finfo(np.float32).max)
MIN_PER_KIND = 2  # recordings with and without the class, below which nothing is learnt of it

Array = NDArray[np.float32]


def train_trees(config: TrainingConfig, features: Array, labels: Array) -> TreeTables:
    """features: (n, columns) with NaN for unknown. labels: (n, 5); recordings whose label is NaN are left out, class by
    class."""
    shape = TreeShape(labels.shape[1], config.trees, config.tree_depth)
    tables = _empty(shape)
    for place, truth in enumerate(labels.T):
        known = ~np.isnan(truth)
        if min((truth == 0).sum(), (truth == 1).sum()) < MIN_PER_KIND:
            tables.base[place] = _constant(truth)
            continue
        model = boost(config, features[known], truth[known])
        for number, tree in enumerate(model.dump_model()["tree_info"]):
            _store(tables, (place, number), tree["tree_structure"], node=0)
    return tables


def boost(config: TrainingConfig, features: Array, truth: Array) -> lightgbm.Booster:
    """One binary model. truth: (n,) of 0 and 1. The same arguments give the same model."""
    parameters = {
        "objective": "binary",
        "learning_rate": config.tree_learning_rate,
        "num_leaves": config.tree_leaves,
        "max_depth": config.tree_depth,
        "min_data_in_leaf": config.tree_smallest_leaf,
        "lambda_l2": config.tree_l2,
        "feature_fraction": config.tree_columns,
        "bagging_fraction": config.tree_rows,
        "bagging_freq": 1,
        "num_threads": config.threads,
        "seed": config.seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    # Contiguous: LightGBM warns of a column that is part of a larger array.
    return lightgbm.train(parameters, lightgbm.Dataset(features, np.ascontiguousarray(truth)), config.trees)


def round_down(threshold: float) -> np.float32:
    """The largest finite float32 that is not above: x <= threshold for the same finite float32 values x.

    Raises ValueError for a threshold below all of them.
    """
    if threshold < -LARGEST:
        raise ValueError(f"no float32 is below {threshold}")
    nearest = np.float32(min(threshold, LARGEST))
    return np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > threshold else nearest


def _empty(shape: TreeShape) -> TreeTables:
    """Trees that say nothing: every split leads to the left, every leaf adds zero."""
    splits = (shape.classes, shape.trees, shape.splits)
    return TreeTables(
        feature=np.zeros(splits, np.int64),
        threshold=np.full(splits, np.inf, np.float32),
        unknown_right=np.zeros(splits, np.bool_),
        leaf=np.zeros((shape.classes, shape.trees, shape.splits + 1), np.float32),
        base=np.zeros(shape.classes, np.float32),
    )


def _constant(truth: Array) -> float:
    positive, negative = (truth == 1).sum(), (truth == 0).sum()
    return -UNSEEN_LOGIT if positive > negative else UNSEEN_LOGIT


def _store(tables: TreeTables, tree: tuple[int, int], found: Mapping[str, Any], node: int) -> None:
    """A node of the library's tree, and all below it, at this place of the complete tree."""
    splits = tables.shape.splits
    if node >= splits:
        tables.leaf[tree][node - splits] = found["leaf_value"]
    elif "leaf_value" in found:  # grown to here only: both sides go on with it
        _store(tables, tree, found, 2 * node + 1)
        _store(tables, tree, found, 2 * node + 2)
    else:
        tables.feature[tree][node] = found["split_feature"]
        tables.threshold[tree][node] = round_down(found["threshold"])
        tables.unknown_right[tree][node] = _unknown_right(found)
        _store(tables, tree, found["left_child"], 2 * node + 1)
        _store(tables, tree, found["right_child"], 2 * node + 2)


def _unknown_right(found: Mapping[str, Any]) -> bool:
    """Where LightGBM sends NaN. In a column that had none in training it takes NaN for zero."""
    if found["missing_type"] == "NaN":
        return not found["default_left"]
    return bool(found["threshold"] < 0)
