"""The branches of one network, trained on the same recordings."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.boosted_trees import TreeBranch
from inference.network import BRANCHES, EcgNetwork, NetworkConfig, Perceptron
from training.config import TrainingConfig
from training.datasets.prepared import Prepared
from training.perceptron import train_perceptron
from training.signal_branch import Rows, signal_logits
from training.trees import train_trees

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureReaders:
    """The two branches that read the clinical features."""

    perceptron: Perceptron
    trees: TreeBranch

    def logits(self, features: Array) -> tuple[Array, Array]:
        """Of each, (n, 5). features: (n, columns) with NaN for unknown."""
        given = torch.from_numpy(np.array(features))
        with torch.inference_mode():
            return self.perceptron(given).numpy(), self.trees(given).numpy()


def distinct(data: Prepared, rows: Rows) -> Rows:
    """The rows that bring a recording for the first time: a recording may be there at two sampling rates. The signals
    of both are prepared to be the same, only what the features see differs a little."""
    _, first = np.unique(data.recording_ids[rows], return_index=True)
    return rows[np.sort(first)]


def train_feature_readers(config: TrainingConfig, data: Prepared, rows: Rows) -> FeatureReaders:
    """Perceptron and trees of these rows."""
    features, labels = np.array(data.features[rows]), data.labels[rows]
    trees = TreeBranch.of(train_trees(config, features, labels), features.shape[1])
    return FeatureReaders(train_perceptron(config, features, labels), trees)


def assemble(config: TrainingConfig, signal: dict[str, Tensor], readers: FeatureReaders) -> EcgNetwork:
    """One network of the three, its blend still even; in evaluation mode."""
    shape = NetworkConfig(
        features=len(readers.perceptron.mean),
        units=readers.perceptron.head.in_features,
        trees=readers.trees.shape,
        dropout=config.dropout,
    )
    network = EcgNetwork(shape)
    network.signal.load_state_dict(signal)
    network.perceptron.load_state_dict(readers.perceptron.state_dict())
    network.trees.load_state_dict(readers.trees.state_dict())
    return network.eval()


def branch_logits(network: EcgNetwork, data: Prepared, rows: Rows) -> Array:
    """Logits (rows, 3, 5) in the order of `BRANCHES`, of whole recordings."""
    found = np.empty((len(rows), len(BRANCHES), data.labels.shape[1]), np.float32)
    found[:, 0] = signal_logits(network.signal, data, rows)
    readers = FeatureReaders(network.perceptron, network.trees)
    found[:, 1], found[:, 2] = readers.logits(data.features[rows])
    return found
