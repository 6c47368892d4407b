import math
from dataclasses import replace

import numpy as np
import torch

from inference.features import FEATURE_NAMES
from tests.training.conftest import TINY
from training.perceptron import feature_statistics, train_perceptron
from training.scores import macro_auc

RECIPE = replace(TINY, members=2, member_epochs=8, batch_size=32)


def _material() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, len(FEATURE_NAMES))).astype(np.float32)
    labels = np.stack([features[:, 2 * i] + features[:, 2 * i + 1] > 0.5 for i in range(5)], axis=1)
    features[rng.random(features.shape) < 0.05] = math.nan
    return features, labels.astype(np.float32)


def test_it_learns_what_the_features_tell() -> None:
    features, labels = _material()
    found = train_perceptron(RECIPE, features, labels)(torch.from_numpy(features)).detach().numpy()
    assert macro_auc(labels, found) > 0.9


def test_the_members_side_by_side_say_their_mean() -> None:
    features, labels = _material()
    given = torch.from_numpy(features[:20])
    both = train_perceptron(RECIPE, features, labels)
    first = train_perceptron(replace(RECIPE, members=1), features, labels)
    units = first.head.in_features
    assert both.head.in_features == 2 * units
    torch.testing.assert_close(both.hidden.weight[:units], first.hidden.weight)
    torch.testing.assert_close(both.head.weight[:, :units] * 2, first.head.weight)
    assert torch.isfinite(both(given)).all()


def test_the_same_seed_gives_the_same_weights() -> None:
    features, labels = _material()
    one, two = (train_perceptron(replace(RECIPE, member_epochs=2), features, labels) for _ in range(2))
    assert torch.equal(one.head.weight, two.head.weight)


def test_statistics_leave_out_what_is_unknown_and_survive_a_column_without_values() -> None:
    features = np.array([[1, math.nan, 5], [3, math.nan, 5], [math.nan, math.nan, 5]], np.float32)
    statistics = feature_statistics(features)
    assert statistics.median.tolist() == [2, 0, 5]
    assert statistics.std[1:].tolist() == [1, 1], "a constant column is not divided by zero"
