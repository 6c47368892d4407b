"""The loss of all branches that learn by gradients: binary cross-entropy per superclass, unknown labels left out."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def class_weights(labels: NDArray[np.float32], balance: float) -> Tensor:
    """How many times a positive counts: (negatives / positives) ** balance.

    1 for a class without positives or negatives. labels: (n, 5), NaN for unknown.
    """
    positives = (labels == 1).sum(axis=0)
    negatives = (labels == 0).sum(axis=0)
    ratio = negatives / np.maximum(positives, 1)
    return torch.from_numpy(np.where((positives > 0) & (negatives > 0), ratio**balance, 1).astype(np.float32))


def masked_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean over the known labels; 0 where none is known. logits, labels: (batch, 5), NaN for unknown. weights: (5,)."""
    known = ~torch.isnan(labels)
    truth = torch.where(known, labels, 0.0)
    losses = binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)
