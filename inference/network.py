"""The network: a one-dimensional ResNet-18 (He et al., CVPR 2016) over the signal, beside it two readers of the
clinical features (a small perceptron and boosted trees), and a blend of the three.

Trunk: stem, four stages of two basic blocks (64, 128, 256, 512 channels, kernel 7), average and maximum over time, so
that any length can be read. The time axis is the width of a two-dimensional convolution of height one, for which
onnxruntime has blocked kernels.

Strides: the stem brings 500 Hz down to 25 steps a second; the third stage reduces by four instead of two, because the
last stage has most of the weights and its cost grows with the number of steps. The strides were chosen by the time of a
forward pass; other strides were not trained, so what these cost in accuracy is not known.

Amplitude: the signal comes z-scored, which hides how large a lead is, and size is what tells hypertrophy. So the stem
reads the signal twice: as it is, and with each lead multiplied by the height of its QRS complex in mV, which is one of
the features.

Branches: signal, perceptron and trees each give logits of their own and are trained by themselves, so that none leans
on another; the trees (`inference.boosted_trees`) know what a net cannot learn from few recordings. The blend is a
weighted sum with one weight a branch, then per class a scale and a shift that make probabilities of it: thirteen
numbers, fitted to predictions for recordings that the branches had not seen (`training.blend`).

Features: unknown values (NaN) become the training median and set an indicator; all are standardised and clipped inside
the graph, so that a released file needs no scaler beside it.

With `inference.boosted_trees` this is all of the engine that imports torch; serving with onnxruntime never does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.boosted_trees import TreeBranch, TreeShape, shape_of
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.recording import LEADS

STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_STRIDES = (1, 2, 4, 2)
KERNEL = 7
STEM_KERNEL = 25  # 50 ms at 500 Hz: about half a QRS complex
STEM_STRIDE = 5
POOL_KERNEL = 5
POOL_STRIDE = 4

FEATURE_UNITS = 64
BRANCHES = ("signal", "perceptron", "trees")
NO_TREES = TreeShape(len(Superclass), trees=1, depth=1)  # one tree a class that says nothing

# Where a feature says how large each lead is, in mV.
AMPLITUDE_COLUMNS = [FEATURE_NAMES.index(f"{lead}_qrs_ptp") for lead in LEADS]
AMPLITUDE_LIMITS = (0.05, 5.0)  # mV; what lies beyond is noise or an artefact
UNKNOWN_AMPLITUDE = 1.0  # mV; the median of the training recordings is 1.03

FEATURE_LIMIT = 5.0  # standard deviations; an artefact must not outweigh everything else


class FeatureStatistics(NamedTuple):
    """Of the training recordings; each float32 of shape (n,)."""

    median: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What must be known to build the network before its weights are loaded. features: their number. units: hidden
    units of the perceptron. trees: shape of the boosted trees."""

    features: int
    units: int = FEATURE_UNITS
    trees: TreeShape = NO_TREES
    dropout: float = 0.3


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), bias=False)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut; where the shape changes, the shortcut averages before it projects."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolution(inputs, outputs, KERNEL, stride), nn.BatchNorm2d(outputs), nn.ReLU())
        last = nn.BatchNorm2d(outputs)
        nn.init.zeros_(last.weight)  # each block starts as the identity, which steadies the first epochs
        self.second = nn.Sequential(_convolution(outputs, outputs, KERNEL, 1), last)
        self.shortcut = nn.Identity() if inputs == outputs else _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, 1, time) -> (batch, outputs, 1, ceil(time / stride))."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    # A partial last window is averaged over its own samples only: padding with zeros would dim the end of the signal.
    pool = nn.AvgPool2d((1, stride), (1, stride), ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, _convolution(inputs, outputs, 1, 1), nn.BatchNorm2d(outputs))


def _stem() -> nn.Conv2d:
    return _convolution(len(LEADS), STAGE_CHANNELS[0], STEM_KERNEL, STEM_STRIDE)


def _trunk() -> nn.Sequential:
    channels = STAGE_CHANNELS[0]
    layers: list[nn.Module] = [
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.MaxPool2d((1, POOL_KERNEL), (1, POOL_STRIDE), (0, POOL_KERNEL // 2)),
    ]
    for outputs, stride in zip(STAGE_CHANNELS, STAGE_STRIDES, strict=True):
        layers += [BasicBlock(channels, outputs, stride), BasicBlock(outputs, outputs, 1)]
        channels = outputs
    return nn.Sequential(*layers)


class SignalBranch(nn.Module):
    """The trunk with its head: signal and amplitudes -> logits."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        # Two convolutions that are added are one of both inputs; each keeps a scale of its own in int8.
        self.shape_stem = _stem()
        self.size_stem = _stem()
        self.trunk = _trunk()
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * STAGE_CHANNELS[-1], len(Superclass)))

    def forward(self, signal: Tensor, amplitudes: Tensor) -> Tensor:
        """signal float32 (batch, 12, samples), amplitudes (batch, 12) in mV with NaN for unknown -> (batch, 5)."""
        shape = signal.unsqueeze(2)
        gain = torch.clamp(torch.where(torch.isnan(amplitudes), UNKNOWN_AMPLITUDE, amplitudes), *AMPLITUDE_LIMITS)
        steps = self.trunk(self.shape_stem(shape) + self.size_stem(shape * gain[:, :, None, None]))
        pooled = torch.cat([steps.mean(dim=(2, 3)), steps.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.head(pooled)
        return logits


class Perceptron(nn.Module):
    """Clinical features, NaN for unknown -> logits, by one hidden layer."""

    median: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, features: int, units: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.hidden = nn.Linear(2 * features, units)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, len(Superclass))

    def forward(self, features: Tensor) -> Tensor:
        """float32 (batch, n) with NaN -> (batch, 5)."""
        unknown = torch.isnan(features)
        known = torch.where(unknown, self.median, features)
        scaled = torch.clamp((known - self.mean) / self.std, -FEATURE_LIMIT, FEATURE_LIMIT)
        units = torch.relu(self.hidden(torch.cat([scaled, unknown.to(scaled.dtype)], dim=1)))
        logits: Tensor = self.head(self.dropout(units))
        return logits

    def set_statistics(self, statistics: FeatureStatistics) -> None:
        """Store the statistics of the training features; they are saved with the weights."""
        for name, values in statistics._asdict().items():
            getattr(self, name).copy_(torch.from_numpy(values))


class Blend(nn.Module):
    """Logits of the branches -> calibrated logits. Its numbers are fitted after training, not by gradients."""

    weights: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((len(BRANCHES),), 1 / len(BRANCHES)))
        self.register_buffer("scale", torch.ones(len(Superclass)))
        self.register_buffer("shift", torch.zeros(len(Superclass)))

    def forward(self, branches: Tensor) -> Tensor:
        """(batch, 3, 5) -> (batch, 5)."""
        blended = (branches * self.weights[:, None]).sum(dim=1)
        return self.scale * blended + self.shift


class EcgNetwork(nn.Module):
    """Signal and features -> one calibrated logit per superclass, in the order of `Superclass`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.signal = SignalBranch(config.dropout)
        self.perceptron = Perceptron(config.features, config.units, config.dropout)
        self.trees = TreeBranch(config.trees)
        self.blend = Blend()

    def forward(self, signal: Tensor, features: Tensor) -> Tensor:
        """signal float32 (batch, 12, samples), features float32 (batch, n) -> logits (batch, 5)."""
        blended: Tensor = self.blend(self.branches(signal, features))
        return blended

    def branches(self, signal: Tensor, features: Tensor) -> Tensor:
        """The logits (batch, 3, 5) of each branch by itself, in the order of `BRANCHES`."""
        amplitudes = features[:, AMPLITUDE_COLUMNS]
        return torch.stack([self.signal(signal, amplitudes), self.perceptron(features), self.trees(features)], dim=1)


class Probabilities(nn.Module):
    """What is released and served: the network followed by the sigmoid."""

    def __init__(self, network: EcgNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, signal: Tensor, features: Tensor) -> Tensor:
        """As `EcgNetwork.forward`, but probabilities."""
        return torch.sigmoid(self.network(signal, features))


def parameter_count(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def load_network(weights: Path) -> EcgNetwork:
    """The network of a state dict on disk, in evaluation mode on the CPU. Raises RuntimeError when it does not fit."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network = EcgNetwork(_config(state))
    network.load_state_dict(state)
    return network.eval()


def _config(state: Mapping[str, Tensor]) -> NetworkConfig:
    missing = {
        "signal.size_stem.weight",
        "perceptron.mean",
        "perceptron.head.weight",
        "trees.base",
        "trees.column",
        "trees.leaf",
    } - set(state)
    if missing:
        raise RuntimeError(f"weights of another network: {', '.join(sorted(missing))} missing")
    return NetworkConfig(
        features=len(state["perceptron.mean"]),
        units=state["perceptron.head.weight"].shape[1],
        trees=shape_of(state["trees.base"], state["trees.column"], state["trees.leaf"]),
    )


def best_device() -> torch.device:
    """The CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def torch_runner(
    weights: Path,
) -> Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]:
    """signal (batch, 12, samples) and features (batch, n) -> probabilities (batch, 5), on the best device.

    Both the call and the result raise RuntimeError when torch fails.
    """
    device = best_device()
    model = Probabilities(load_network(weights)).eval().to(device)

    def run(signal: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found = model(torch.from_numpy(signal).to(device), torch.from_numpy(features).to(device))
        probabilities: NDArray[np.float32] = found.cpu().numpy()
        return probabilities

    return run
