"""Gradient-boosted trees as a torch module: comparisons and gathers, which the ordinary ONNX exporter understands.

Every tree is stored as a complete binary tree of one depth; what the library grew smaller is filled up with splits
whose two sides are equal. So all splits are compared at once, and a walk from root to leaf is `depth` gathers:
the children of node i are 2 i + 1 and 2 i + 2.

Unknown features (NaN) go the way that the split learned for them. To need one comparison only, each feature is there
twice, unknown once as minus and once as plus infinity; a split reads the one that sends it its way.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TreeShape:
    """classes times trees complete trees, each with 2 ** depth leaves."""

    classes: int
    trees: int
    depth: int

    @property
    def splits(self) -> int:
        """Of one tree."""
        return (1 << self.depth) - 1


@dataclass(frozen=True, slots=True, eq=False)
class TreeTables:
    """Trees as arrays.

    feature: int64, threshold: float32, unknown_right: bool, each (classes, trees, splits); the right child is taken by
    what is greater than the threshold. leaf: float32 (classes, trees, 2 ** depth). base: float32 (classes,), added to
    the sum. Raises ValueError when the shapes do not fit each other.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    unknown_right: NDArray[np.bool_]
    leaf: NDArray[np.float32]
    base: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = self.shape
        splits = (shape.classes, shape.trees, shape.splits)
        found = [self.feature.shape, self.threshold.shape, self.unknown_right.shape]
        if found != [splits] * 3 or self.base.shape != (shape.classes,) or self.leaf.shape[2] != 2**shape.depth:
            raise ValueError(f"tables of shapes {found}, leaves {self.leaf.shape}, base {self.base.shape}")

    @property
    def shape(self) -> TreeShape:
        """What `TreeBranch` must know to take these tables."""
        classes, trees, leaves = self.leaf.shape
        return TreeShape(classes, trees, leaves.bit_length() - 1)


class TreeBranch(nn.Module):
    """Clinical features, NaN for unknown, -> the trees' logits. Nothing in it is trained by gradients."""

    column: Tensor
    threshold: Tensor
    leaf: Tensor
    base: Tensor

    def __init__(self, shape: TreeShape) -> None:
        super().__init__()
        self.shape = shape
        count = shape.classes * shape.trees
        self.register_buffer("column", torch.zeros(count * shape.splits, dtype=torch.int64))
        self.register_buffer("threshold", torch.full((count * shape.splits,), torch.inf))
        self.register_buffer("leaf", torch.zeros(count * 2**shape.depth))
        self.register_buffer("base", torch.zeros(shape.classes))

    @classmethod
    def of(cls, tables: TreeTables, features: int) -> Self:
        """The module of these tables, for vectors of so many features."""
        branch = cls(tables.shape)
        column = tables.feature + np.where(tables.unknown_right, features, 0)
        branch.column.copy_(torch.from_numpy(column.ravel()))
        for name in ("threshold", "leaf", "base"):
            getattr(branch, name).copy_(torch.from_numpy(getattr(tables, name).ravel()))
        return branch

    def forward(self, features: Tensor) -> Tensor:
        """float32 (batch, n) -> (batch, classes)."""
        unknown = torch.isnan(features)
        low, high = (torch.where(unknown, limit, features) for limit in (-torch.inf, torch.inf))
        right = (torch.cat([low, high], dim=1)[:, self.column] > self.threshold).to(torch.int64)
        trees = torch.arange(self.shape.classes * self.shape.trees, device=features.device)
        node = torch.zeros_like(right[:, :1]) + torch.zeros_like(trees)  # (batch, trees): every walk starts at its root
        for _ in range(self.shape.depth):
            node = 2 * node + 1 + torch.gather(right, 1, trees * self.shape.splits + node)
        reached = self.leaf[trees * 2**self.shape.depth + node - self.shape.splits]
        total: Tensor = reached.view(-1, self.shape.classes, self.shape.trees).sum(dim=2) + self.base
        return total


def shape_of(base: Tensor, column: Tensor, leaf: Tensor) -> TreeShape:
    """The shape of a module with these buffers: how a state dict tells what it is from."""
    count = len(leaf) - len(column)  # a complete tree has one leaf more than splits
    return TreeShape(len(base), count // len(base), (len(leaf) // count).bit_length() - 1)
