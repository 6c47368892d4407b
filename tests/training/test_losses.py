import math

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from training.losses import class_weights, masked_loss


def test_rare_classes_weigh_more_and_absent_ones_are_left_alone() -> None:
    labels = np.zeros((100, 5), np.float32)
    labels[:50, 0] = 1
    labels[:10, 1] = 1
    labels[:, 4] = 1
    assert class_weights(labels, 1).tolist() == [1, 9, 1, 1, 1]
    assert class_weights(labels, 0.5).tolist() == [1, 3, 1, 1, 1]


def test_unknown_labels_change_no_weight() -> None:
    labels = np.full((100, 5), math.nan, np.float32)
    labels[:10], labels[0] = 0, 1
    assert class_weights(labels, 1).tolist() == [9] * 5


def test_a_loss_is_the_mean_over_what_is_known() -> None:
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    weights = torch.tensor([1.0, 2.0, 3.0])
    labels = torch.tensor([[1.0, math.nan, 1.0]])
    each = binary_cross_entropy_with_logits(logits, torch.ones(1, 3), pos_weight=weights, reduction="none")
    torch.testing.assert_close(masked_loss(logits, labels, weights), (each[0, 0] + each[0, 2]) / 2)


def test_an_unknown_label_pulls_at_nothing() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.tensor([[math.nan, 1.0, 0.0], [math.nan] * 3])
    masked_loss(logits, labels, torch.ones(3)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == [[True, False, False], [True] * 3]


def test_a_batch_of_which_nothing_is_known_costs_nothing() -> None:
    assert masked_loss(torch.ones(2, 5), torch.full((2, 5), math.nan), torch.ones(5)).item() == 0
