"""The training loop.

One run is one folder: `config.json`, `log.jsonl` (a line an epoch), `checkpoint.pt` (all that is needed to go on) and,
at the end, `model.pt` (the best averaged weights). All randomness of an epoch comes from the seed and the epoch's
number, so that a run which was stopped and resumed gives the same weights as one that was not.
"""

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from inference.features import DEMOGRAPHIC_FEATURES, FEATURE_NAMES
from inference.network import EcgNetwork, FeatureStatistics, NetworkConfig
from training.augment import augment_signal, hide_features
from training.config import TrainingConfig
from training.datasets.prepared import Prepared, Progress, load_prepared
from training.datasets.ptbxl import Entry, Rate, Split, read_index
from training.scores import macro_auc, predict

CONFIG_FILE = "config.json"
CHECKPOINT_FILE = "checkpoint.pt"
LOG_FILE = "log.jsonl"
WEIGHTS_FILE = "model.pt"

HEAD_BIASES = ("signal_head.1.bias", "feature_head.bias")
STATISTICS_PERCENTILES = (1.0, 99.0)  # a few artefacts must not set the scale of a feature


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought. loss: mean over training recordings. macro_auc: of the averaged weights, on val."""

    number: int
    loss: float
    macro_auc: float
    best: bool


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished run. weights: path of the state dict. best: the epoch that they are from."""

    weights: Path
    best: Epoch
    epochs: tuple[Epoch, ...]


class Run:
    """What changes during training, and nothing else; saved and restored as one."""

    def __init__(self, config: TrainingConfig, data: Prepared) -> None:
        torch.manual_seed(config.seed)
        self.network = EcgNetwork(NetworkConfig(features=data.features.shape[1], dropout=config.dropout))
        self.network.set_statistics(feature_statistics(data.features))
        # A training step took 0.5 to 0.8 of the time, timed once per length on a shared two-core CPU.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, config.learning_rate, epochs=config.epochs, steps_per_epoch=steps_per_epoch(config, data)
        )
        self.epochs: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    def save(self, path: Path) -> None:
        """Write a checkpoint; an interrupted write leaves the previous one."""
        partial = path.with_suffix(".partial")
        parts = {name: getattr(self, name).state_dict() for name in self._parts()}
        epochs = [[e.number, e.loss, e.macro_auc, e.best] for e in self.epochs]
        torch.save({**parts, "epochs": epochs, "best": self.best}, partial)
        partial.replace(path)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint."""
        saved = torch.load(path, weights_only=True)
        for name in self._parts():
            getattr(self, name).load_state_dict(saved[name])
        self.epochs = [Epoch(*values) for values in saved["epochs"]]
        self.best = saved["best"]

    @staticmethod
    def _parts() -> tuple[str, ...]:
        return ("network", "average", "optimizer", "schedule")


def train(
    config: TrainingConfig,
    data_folder: Path,
    out: Path,
    *,
    cache: Path = Path("var/cache"),
    on_prepared: Progress | None = None,
    on_batch: Callable[[int, int, float], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainingResult:
    """Train on the training folds of a PTB-XL folder, stop early by macro-AUC on the validation fold.

    A folder `out` that holds a run of the same config is resumed (a finished one just gives its result). The three
    callbacks are for progress: recordings prepared of all; epoch, batches done in it and mean loss; a finished epoch.

    Raises FileNotFoundError when `data_folder` is no PTB-XL folder, ValueError when it has no training recordings or
    `out` holds a run of another config.
    """
    data = load_prepared(training_entries(data_folder), cache, on_prepared)
    val = load_prepared(read_index(data_folder, Split.VAL), cache, on_prepared)
    torch.set_num_threads(config.threads)
    run = _open_run(config, data, out)
    for number in range(len(run.epochs), config.epochs):
        if is_stopped(run.epochs, config.patience):
            break
        loss = _train_epoch(run, config, data, number, on_batch)
        epoch = _validate(run, val, number, loss)
        run.save(out / CHECKPOINT_FILE)
        _log(out, epoch)
        if on_epoch is not None:
            on_epoch(epoch)
    return _finish(run, config, data, out)


def training_entries(data_folder: Path) -> tuple[Entry, ...]:
    """The training folds at 100 Hz, and again at 500 Hz where those files are there: the two differ a little in what
    the features see, and the network should not depend on it. Raises ValueError when there are none."""
    entries = tuple(e for rate in Rate for e in read_index(data_folder, Split.TRAIN, rate))
    if not entries:
        raise ValueError(f"{data_folder}: no training recordings")
    return entries


def feature_statistics(features: NDArray[np.float32]) -> FeatureStatistics:
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


def class_weights(labels: NDArray[np.float32], balance: float) -> Tensor:
    """How many times a positive counts: (negatives / positives) ** balance, 1 for a class without positives."""
    positives = labels.sum(axis=0)
    ratio = (len(labels) - positives) / np.maximum(positives, 1)
    return torch.from_numpy(np.where(positives > 0, ratio**balance, 1).astype(np.float32))


def steps_per_epoch(config: TrainingConfig, data: Prepared) -> int:
    """Batches, the last of them possibly smaller."""
    return math.ceil(len(data) / config.batch_size)


def _open_run(config: TrainingConfig, data: Prepared, out: Path) -> Run:
    out.mkdir(parents=True, exist_ok=True)
    stored = out / CONFIG_FILE
    if stored.exists() and TrainingConfig.load(stored) != config:
        raise ValueError(f"{out} holds a run of another config; choose another folder")
    stored.write_text(config.to_json() + "\n")
    run = Run(config, data)
    if (out / CHECKPOINT_FILE).exists():
        run.restore(out / CHECKPOINT_FILE)
    return run


def is_stopped(epochs: Sequence[Epoch], patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing better."""
    best = max((e.number for e in epochs if e.best), default=0)
    return len(epochs) > best + patience


def _train_epoch(
    run: Run,
    config: TrainingConfig,
    data: Prepared,
    number: int,
    on_batch: Callable[[int, int, float], None] | None,
) -> float:
    """One pass; gives the mean loss."""
    torch.manual_seed(config.seed * 10_000 + number)  # dropout draws from the global generator
    criterion = nn.BCEWithLogitsLoss(pos_weight=class_weights(data.labels, config.balance))
    run.network.train()
    total, seen = 0.0, 0
    for done, (signal, features, labels) in enumerate(_batches(config, data, number), start=1):
        loss = _loss(criterion, run.network.branches(signal, features), labels, config.branch_loss)
        run.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()
        run.schedule.step()
        run.average.update_parameters(run.network)
        total += loss.item() * len(labels)
        seen += len(labels)
        if on_batch is not None:
            on_batch(number, done, total / seen)
    return total / len(data)


def _loss(
    criterion: nn.BCEWithLogitsLoss, branches: tuple[Tensor, Tensor], labels: Tensor, branch_loss: float
) -> Tensor:
    by_signal, by_features = branches
    loss: Tensor = criterion((by_signal + by_features) / 2, labels)
    alone: Tensor = criterion(by_signal, labels) + criterion(by_features, labels)
    return loss + branch_loss * alone


def _batches(config: TrainingConfig, data: Prepared, number: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Augmented batches in the order of this epoch."""
    rng = torch.Generator().manual_seed(config.seed * 10_000 + number)
    demographics = [FEATURE_NAMES.index(name) for name in DEMOGRAPHIC_FEATURES]
    order = torch.randperm(len(data), generator=rng).numpy()
    for start in range(0, len(data), config.batch_size):
        rows = np.sort(order[start : start + config.batch_size])  # sorted: the file on disk is read forwards
        signal = augment_signal(torch.from_numpy(data.signals[rows]), config, rng)
        features = hide_features(torch.from_numpy(data.features[rows]), demographics, config, rng)
        yield signal, features, torch.from_numpy(data.labels[rows])


def _validate(run: Run, val: Prepared, number: int, loss: float) -> Epoch:
    """Score the averaged weights, and keep them if they are the best so far."""
    network = run.average.module
    auc = macro_auc(val.labels, predict(network, val))
    best = auc > max((e.macro_auc for e in run.epochs), default=0.0)
    if best:
        run.best = copy.deepcopy(network.state_dict())
    epoch = Epoch(number, loss, auc, best)
    run.epochs.append(epoch)
    return epoch


def _log(out: Path, epoch: Epoch) -> None:
    line: dict[str, Any] = {"epoch": epoch.number, "loss": epoch.loss, "macro_auc": epoch.macro_auc, "best": epoch.best}
    with (out / LOG_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def _finish(run: Run, config: TrainingConfig, data: Prepared, out: Path) -> TrainingResult:
    """Write the best weights. A weighted loss raises every logit by the logarithm of its weight (Elkan, IJCAI 2001);
    taking that off again gives probabilities that can be read as such."""
    weights = dict(run.best)
    for bias in HEAD_BIASES:
        weights[bias] = weights[bias] - torch.log(class_weights(data.labels, config.balance))
    torch.save({name: value.contiguous() for name, value in weights.items()}, out / WEIGHTS_FILE)
    best = next(e for e in reversed(run.epochs) if e.best)
    return TrainingResult(out / WEIGHTS_FILE, best, tuple(run.epochs))
