import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inference.network import EcgNetwork, NetworkConfig
from training.blend import even_blend, fit_blend, fit_weights, weighted
from training.calibration import log_loss

Array = NDArray[np.float32]


def _material(noise: tuple[float, float, float], recordings: int = 2000) -> tuple[Array, Array, list[str]]:
    """Labels, and logits of three branches that know their truth with so much noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(recordings, 5)) * 2
    labels = (rng.random((recordings, 5)) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    branches = np.stack([truth + rng.normal(size=truth.shape) * amount for amount in noise], axis=1)
    return labels, branches.astype(np.float32), [str(number) for number in range(recordings)]


def test_a_branch_that_knows_nothing_gets_no_weight() -> None:
    labels, branches, _ = _material((1, 1, 1))
    branches[:, 2] = np.random.default_rng(1).normal(size=(len(labels), 5))
    weights = fit_weights(labels, branches)
    assert weights[2] < 0.03
    assert weights.sum() == pytest.approx(1)


def test_a_better_branch_gets_more_weight_and_none_a_negative_one() -> None:
    labels, branches, _ = _material((0.5, 2, 2))
    branches[:, 2] = -branches[:, 2]
    weights = fit_weights(labels, branches)
    assert weights[0] > 0.7
    assert weights.min() >= 0


def test_branches_that_all_know_less_than_the_rates_get_the_same_weight() -> None:
    labels, branches, _ = _material((1, 1, 1))
    assert fit_weights(labels, -branches).tolist() == pytest.approx([1 / 3] * 3)


def test_a_fitted_blend_is_better_than_an_even_one_and_than_each_branch() -> None:
    labels, branches, patients = _material((0.7, 1.5, 3))
    fitted, even = fit_blend(labels, branches, patients), even_blend(labels, branches, patients)

    def loss(logits: NDArray[np.float64]) -> float:
        return log_loss(labels.ravel().astype(np.float64), logits.ravel())

    assert loss(fitted.logits(branches)) < loss(even.logits(branches))
    assert loss(fitted.logits(branches)) < min(loss(branches[:, b].astype(np.float64)) for b in range(3))


def test_unknown_labels_take_no_part() -> None:
    labels, branches, _ = _material((1, 2, 2))
    unknown = labels.copy()
    unknown[1000:] = math.nan
    np.testing.assert_allclose(fit_weights(unknown, branches), fit_weights(labels[:1000], branches[:1000]), atol=1e-6)


def test_the_network_blends_as_it_was_fitted() -> None:
    labels, branches, patients = _material((0.7, 1.5, 3))
    branches = branches * 3 + 1  # wants calibration
    fitted = fit_blend(labels, branches, patients)
    network = EcgNetwork(NetworkConfig(features=4))
    fitted.put_into(network)
    np.testing.assert_allclose(network.blend(torch.from_numpy(branches)), fitted.logits(branches), atol=1e-4)
    assert not np.allclose(fitted.logits(branches), weighted(branches, np.array(fitted.weights)))
