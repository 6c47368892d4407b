"""Training of the perceptron that reads the clinical features.

Several small ones that differ in their seed are trained and averaged. The mean of networks with one hidden layer is
again such a network, with their hidden units side by side: what is released is one perceptron.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.features import DEMOGRAPHIC_FEATURES, FEATURE_NAMES
from inference.network import FEATURE_UNITS, FeatureStatistics, Perceptron
from training.augment import hide_features
from training.config import TrainingConfig
from training.losses import class_weights, masked_loss

STATISTICS_PERCENTILES = (1.0, 99.0)  # a few artefacts must not set the scale of a feature
MEMBER_SEED = 1_009  # between the seeds of two members

Array = NDArray[np.float32]


def train_perceptron(config: TrainingConfig, features: Array, labels: Array) -> Perceptron:
    """features: (n, columns) with NaN for unknown. labels: (n, 5) with NaN for unknown. The class weights of the loss
    are taken off the logits, as `training.signal_branch` does."""
    statistics = feature_statistics(features)
    members = [_train_member(config, number, features, labels, statistics) for number in range(config.members)]
    joined = _side_by_side(members, config.dropout)
    joined.set_statistics(statistics)
    with torch.no_grad():
        joined.head.bias.sub_(torch.log(class_weights(labels, config.balance)))
    return joined.eval()


def feature_statistics(features: Array) -> FeatureStatistics:
    """Median, mean and standard deviation per column, unknown values left out and the extreme per cents pulled in."""
    known = np.where(np.isnan(features).all(axis=0), np.float32(0), features)
    low, high = np.nanpercentile(known, STATISTICS_PERCENTILES, axis=0)
    known = np.clip(known, low, high)
    std = np.nanstd(known, axis=0)
    return FeatureStatistics(
        median=np.nanmedian(known, axis=0).astype(np.float32),
        mean=np.nanmean(known, axis=0).astype(np.float32),
        std=np.where(std > 0, std, 1).astype(np.float32),
    )


def _train_member(
    config: TrainingConfig, number: int, features: Array, labels: Array, statistics: FeatureStatistics
) -> Perceptron:
    seed = config.seed + number * MEMBER_SEED
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = Perceptron(features.shape[1], FEATURE_UNITS, config.dropout)
    network.set_statistics(statistics)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    steps = config.member_epochs * math.ceil(len(features) / config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    weights = class_weights(labels, config.balance)
    for _ in range(config.member_epochs):
        for batch in torch.split(torch.randperm(len(features), generator=rng), config.batch_size):
            rows = batch.numpy()
            logits = network(_hidden(torch.from_numpy(features[rows]), config, rng))
            optimizer.zero_grad()
            masked_loss(logits, torch.from_numpy(labels[rows]), weights).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network


def _hidden(features: Tensor, config: TrainingConfig, rng: torch.Generator) -> Tensor:
    demographics = [FEATURE_NAMES.index(name) for name in DEMOGRAPHIC_FEATURES]
    return hide_features(features, demographics, config, rng)


def _side_by_side(members: list[Perceptron], dropout: float) -> Perceptron:
    features = len(members[0].mean)
    joined = Perceptron(features, FEATURE_UNITS * len(members), dropout)
    with torch.no_grad():
        joined.hidden.weight.copy_(torch.cat([m.hidden.weight for m in members]))
        joined.hidden.bias.copy_(torch.cat([m.hidden.bias for m in members]))
        joined.head.weight.copy_(torch.cat([m.head.weight for m in members], dim=1) / len(members))
        joined.head.bias.copy_(torch.stack([m.head.bias for m in members]).mean(dim=0))
    return joined
