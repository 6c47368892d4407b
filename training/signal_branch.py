"""Training of the signal's branch: the ResNet by itself, on short pieces of the signal.

A folder holds `log.jsonl` (a line an epoch) and `checkpoint.pt` (all that is needed to go on). All randomness of an
epoch comes from the seed and the epoch's number, so that a run which was stopped and resumed gives the same weights as
one that was not.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from inference.network import AMPLITUDE_COLUMNS, SignalBranch
from training.augment import augment_amplitudes, augment_signal
from training.config import TrainingConfig
from training.datasets.prepared import Prepared
from training.distributed import Ranks
from training.epochs import Epoch, OnBatch, OnEpoch, append_epoch, is_better, is_stopped
from training.losses import class_weights, masked_loss
from training.scores import macro_auc

CHECKPOINT_FILE = "checkpoint.pt"
PREDICT_BATCH = 32
RANK_SEED = 1_000_003  # between the generators of two processes: further apart than any two epochs

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What is learnt from: these rows of the prepared arrays, and the validation recordings that decide when to stop;
    without them all epochs are run and the last weights kept."""

    data: Prepared
    rows: Rows
    val: Prepared | None = None

    @property
    def labels(self) -> NDArray[np.float32]:
        """Of the rows; (n, 5), NaN for unknown."""
        return self.data.labels[self.rows]


class Batch(NamedTuple):
    """signal: (batch, 12, samples). amplitudes: (batch, 12). labels: (batch, 5)."""

    signal: Tensor
    amplitudes: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of progress."""

    on_batch: OnBatch | None = None
    on_epoch: OnEpoch | None = None


UNWATCHED = Watch()


class Run:
    """What changes during training, and nothing else; saved and restored as one."""

    def __init__(self, config: TrainingConfig, recordings: int, ranks: Ranks) -> None:
        torch.manual_seed(config.seed)
        self.network = SignalBranch(config.dropout)
        # A training step took 0.5 to 0.8 of the time, timed once per length on a shared two-core CPU.
        self.network.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            config.learning_rate,
            epochs=config.epochs,
            steps_per_epoch=math.ceil(recordings / config.batch_size),
        )
        self.parallel = ranks.parallel(self.network)
        self.epochs: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    def save(self, path: Path) -> None:
        """Write a checkpoint; an interrupted write leaves the previous one."""
        partial = path.with_suffix(".partial")
        parts = {name: getattr(self, name).state_dict() for name in self._parts()}
        epochs = [[e.number, e.loss, e.macro_auc, e.best] for e in self.epochs]
        torch.save({**parts, "epochs": epochs, "best": self.best}, partial)
        partial.replace(path)

    def restore(self, path: Path, device: torch.device) -> None:
        """Continue from a checkpoint."""
        saved = torch.load(path, weights_only=True, map_location=device)
        for name in self._parts():
            getattr(self, name).load_state_dict(saved[name])
        self.epochs = [Epoch(*values) for values in saved["epochs"]]
        self.best = saved["best"]

    @staticmethod
    def _parts() -> tuple[str, ...]:
        return ("network", "average", "optimizer", "schedule")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedSignal:
    """weights: the averaged ones of the epoch to keep, with the class weights taken off their logits."""

    weights: dict[str, Tensor]
    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch that the weights are from."""
        return next(e for e in reversed(self.epochs) if e.best)


def train_signal(
    config: TrainingConfig, material: Material, folder: Path, ranks: Ranks, watch: Watch = UNWATCHED
) -> TrainedSignal:
    """Train on the material, resuming what lies in the folder. A finished run just gives its result."""
    run = Run(config, len(material.rows), ranks)
    if (folder / CHECKPOINT_FILE).exists():
        run.restore(folder / CHECKPOINT_FILE, ranks.device)
    ranks.wait()  # nobody writes a new checkpoint before all have read the old one
    for number in range(len(run.epochs), config.epochs):
        if is_stopped(run.epochs, config.patience):
            break
        loss = _train_epoch(run, config, material, number, ranks, watch.on_batch)
        epoch = ranks.told(_validate(run, material, number, loss) if ranks.first else Epoch(number, loss, 0, False))
        _keep(run, epoch)
        if ranks.first:
            run.save(folder / CHECKPOINT_FILE)
            append_epoch(folder, epoch)
            if watch.on_epoch is not None:
                watch.on_epoch(epoch)
    return TrainedSignal(_released(run, config, material), tuple(run.epochs))


def trained_branch(config: TrainingConfig, weights: dict[str, Tensor]) -> SignalBranch:
    """The branch with these weights, in evaluation mode on the CPU."""
    branch = SignalBranch(config.dropout)
    branch.load_state_dict(weights)
    return branch.eval()


def signal_logits(branch: nn.Module, data: Prepared, rows: Rows) -> NDArray[np.float32]:
    """Logits (rows, 5) of whole recordings by a `SignalBranch`; leaves it in evaluation mode."""
    branch.eval()
    device = next(branch.parameters()).device
    found = [np.zeros((0, data.labels.shape[1]), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(rows), PREDICT_BATCH):
            chosen = rows[start : start + PREDICT_BATCH]
            signal, amplitudes = torch.from_numpy(np.array(data.signals[chosen])), _amplitudes(data, chosen)
            found.append(branch(signal.to(device), amplitudes.to(device)).float().cpu().numpy())
    return np.concatenate(found)


def _train_epoch(
    run: Run, config: TrainingConfig, material: Material, number: int, ranks: Ranks, on_batch: OnBatch | None
) -> float:
    """One pass; gives the mean loss over this process's share."""
    torch.manual_seed(_seed(config, number, ranks))  # dropout draws from the global generator
    weights = class_weights(material.labels, config.balance).to(ranks.device)
    run.parallel.train()
    total, seen = 0.0, 0
    for done, batch in enumerate(_batches(config, material, number, ranks), start=1):
        loss = _step(run, config, Batch(*(part.to(ranks.device) for part in batch)), weights)
        total += loss * len(batch.labels)
        seen += len(batch.labels)
        if on_batch is not None and ranks.first:
            on_batch(number, done, total / seen)
    return total / seen


def _step(run: Run, config: TrainingConfig, batch: Batch, weights: Tensor) -> float:
    with torch.autocast(batch.signal.device.type, torch.bfloat16, enabled=config.mixed_precision):
        logits = run.parallel(batch.signal, batch.amplitudes)
    loss = masked_loss(logits.float(), batch.labels, weights)
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.schedule.step()
    run.average.update_parameters(run.network)
    return loss.item()


def _batches(config: TrainingConfig, material: Material, number: int, ranks: Ranks) -> Iterator[Batch]:
    """Augmented batches of this process, in the order of this epoch."""
    rng = torch.Generator().manual_seed(_seed(config, number, Ranks()))
    order = material.rows[torch.randperm(len(material.rows), generator=rng).numpy()]
    if not ranks.first:
        rng.manual_seed(_seed(config, number, ranks))  # the same order, other augmentation
    for start in range(0, len(order), config.batch_size):
        rows = np.sort(ranks.share(order[start : start + config.batch_size]))  # the file is read forwards
        signal = augment_signal(torch.from_numpy(material.data.signals[rows]), config, rng)
        amplitudes = augment_amplitudes(_amplitudes(material.data, rows), config, rng)
        yield Batch(signal, amplitudes, torch.from_numpy(material.data.labels[rows]))


def _amplitudes(data: Prepared, rows: Rows) -> Tensor:
    """(rows, 12) in mV, NaN for unknown."""
    return torch.from_numpy(np.array(data.features[rows])[:, AMPLITUDE_COLUMNS])


def _seed(config: TrainingConfig, epoch: int, ranks: Ranks) -> int:
    return config.seed * 10_000 + epoch + ranks.rank * RANK_SEED


def _validate(run: Run, material: Material, number: int, loss: float) -> Epoch:
    """Score the averaged weights."""
    auc = math.nan
    if material.val is not None:
        logits = signal_logits(run.average.module, material.val, np.arange(len(material.val)))
        auc = macro_auc(material.val.labels, logits)
    return Epoch(number, loss, auc, is_better(auc, run.epochs))


def _keep(run: Run, epoch: Epoch) -> None:
    run.epochs.append(epoch)
    if epoch.best:
        run.best = copy.deepcopy(run.average.module.state_dict())


def _released(run: Run, config: TrainingConfig, material: Material) -> dict[str, Tensor]:
    """A weighted loss raises every logit by the logarithm of its weight (Elkan, IJCAI 2001); taking that off again
    gives logits that can be read as such."""
    weights = {name: value.cpu().contiguous() for name, value in run.best.items()}
    shift = torch.log(class_weights(material.labels, config.balance))
    return {**weights, "head.1.bias": weights["head.1.bias"] - shift}
