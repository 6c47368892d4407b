"""The blend of the branches: stacking (Wolpert 1992) with few numbers.

One weight a branch, none negative and together one, the same for all classes, of the least log loss; then a calibration
per class (`training.calibration`). Fitted to logits for recordings that the branches were not trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from inference.network import BRANCHES, EcgNetwork
from training.calibration import Calibration, fit_temperature

Array = NDArray[np.float32]
Numbers = NDArray[np.float64]

# Of the scale of a class while the weights are searched: near zero all weights would do equally well.
SMALLEST_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class BlendFit:
    """weights: one per branch, in the order of `BRANCHES`. calibration: of the weighted sum."""

    weights: tuple[float, ...]
    calibration: Calibration

    def logits(self, branches: Array) -> Numbers:
        """(n, 3, 5) -> calibrated (n, 5)."""
        return self.calibration.apply(weighted(branches, np.array(self.weights)))

    def probabilities(self, branches: Array) -> Array:
        """(n, 3, 5) -> (n, 5)."""
        found: Array = expit(self.logits(branches)).astype(np.float32)
        return found

    def put_into(self, network: EcgNetwork) -> None:
        """Store the numbers in the network's blend."""
        blend = network.blend
        blend.weights.copy_(torch.tensor(self.weights))
        blend.scale.copy_(1 / torch.tensor(self.calibration.temperature))
        blend.shift.copy_(torch.tensor(self.calibration.bias))


def fit_blend(labels: Array, branches: Array, patients: Sequence[str]) -> BlendFit:
    """labels: (n, 5), NaN for unknown. branches: logits (n, 3, 5). patients: one per recording."""
    weights = fit_weights(labels, branches)
    return BlendFit(tuple(weights.tolist()), fit_temperature(labels, weighted(branches, weights), patients))


def even_blend(labels: Array, branches: Array, patients: Sequence[str]) -> BlendFit:
    """The same weight for all branches; only the calibration is fitted."""
    weights = np.full(len(BRANCHES), 1 / len(BRANCHES))
    return BlendFit(tuple(weights.tolist()), fit_temperature(labels, weighted(branches, weights), patients))


def fit_weights(labels: Array, branches: Array) -> Numbers:
    """The weights (3,) of the least log loss, each class with the scale and shift that suit it; the same for all where
    no branch says more than the classes' rates do, as after too little training."""
    known = ~np.isnan(labels)
    truth = np.where(known, labels, 0).astype(np.float64)
    count, classes = branches.shape[1:]
    start = np.concatenate([np.full(count, 1 / count), np.ones(classes), np.zeros(classes)])
    bounds = [(0.0, 1.0)] * count + [(SMALLEST_SCALE, 10.0)] * classes + [(-10.0, 10.0)] * classes
    objective = partial(_loss, truth=truth, known=known, branches=branches.astype(np.float64))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
    whole = found.x[:count].sum()
    weights: Numbers = found.x[:count] / whole if whole > 0 else np.full(count, 1 / count)
    return weights


def weighted(branches: Array, weights: Numbers) -> Numbers:
    """(n, 3, 5) -> (n, 5)."""
    summed: Numbers = np.einsum("nbc,b->nc", branches, weights)
    return summed


def _loss(numbers: Numbers, truth: Numbers, known: NDArray[np.bool_], branches: Numbers) -> tuple[float, Numbers]:
    """Mean log loss over the known labels and its gradient, by weights, scales and shifts."""
    count, classes = branches.shape[1:]
    weights, scale, shift = np.split(numbers, [count, count + classes])
    blended = np.einsum("nbc,b->nc", branches, weights)
    logits = scale * blended + shift
    losses = np.logaddexp(0, logits) - truth * logits
    residual = (expit(logits) - truth) * known / known.sum()
    gradient = np.concatenate(
        [
            np.einsum("nc,nbc->b", residual * scale, branches),
            (residual * blended).sum(axis=0),
            residual.sum(axis=0),
        ]
    )
    return float((losses * known).sum() / known.sum()), gradient
