"""Training of one model, from recordings to weights: the one function behind the command line and the pipeline.

    signal      the ResNet on the signal, stopped by the validation recordings
    folds       the same for each cross-validation fold: predictions for recordings that were not seen
    features    perceptron and trees on the clinical features
    blend       its weights and the calibration, fitted to the predictions of the folds

One run is one folder: `config.json`, `data.sha256` (what it was trained on), `log.jsonl` (a line an epoch of the
signal's branch), `checkpoint.pt`, `folds/`, and at the end `out_of_fold.npz` and `model.pt`. A run that was stopped is
resumed from there, by epochs and by folds. Under `torchrun` the signal's branches are trained by all processes
together (`training.distributed`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from inference.network import EcgNetwork
from training.blend import BlendFit, even_blend
from training.branches import assemble, branch_logits, distinct, train_feature_readers
from training.config import TrainingConfig
from training.cross_validate import fit_blend_to, out_of_fold
from training.datasets.catalog import open_dataset
from training.datasets.entry import Entry, Split
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.preparing import Progress
from training.distributed import Ranks, joined
from training.epochs import Epoch, OnBatch, OnEpoch
from training.out_of_fold import OUT_OF_FOLD_FILE, OutOfFold
from training.run_folder import claim
from training.scores import macro_auc, predict
from training.signal_branch import Material, TrainedSignal, Watch, train_signal

WEIGHTS_FILE = "model.pt"
ALONE = Ranks()


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A finished run. weights: path of the state dict. best: the epoch that the signal's branch is from. macro_auc: of
    the whole network on the validation recordings. out_of_fold: None without folds."""

    weights: Path
    best: Epoch
    epochs: tuple[Epoch, ...]
    macro_auc: float
    blend: BlendFit
    out_of_fold: OutOfFold | None


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Both splits of a data set that training may see, prepared; `train` with its repeats at other rates."""

    train: Prepared
    val: Prepared

    @property
    def recordings(self) -> Material:
        """What the signal's branch learns from: each recording once."""
        return Material(self.train, distinct(self.train, np.arange(len(self.train))), self.val)


def train(
    config: TrainingConfig,
    data_folder: Path,
    out: Path,
    *,
    kind: str = "ptbxl",
    workers: int = 0,
    cache: Path = Path("var/cache"),
    on_prepared: Progress | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_batch: OnBatch | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train on the training split of a data set; its validation split stops the signal's branch.

    kind: of the data set, see `training.datasets.catalog`. workers: processes that prepare beside this one. A folder
    `out` that holds a run of the same config is resumed (a finished one just gives its result). The callbacks are for
    progress: recordings prepared of all; the stage that begins; epoch, batches done in it and mean loss; a finished
    epoch of the signal's branch, those of the folds excepted.

    Raises FileNotFoundError when `data_folder` is no folder of this kind, ValueError when it has no training
    recordings or `out` holds a run of another config or of other recordings.
    """
    torch.set_num_threads(config.threads)
    stage = on_stage or (lambda _: None)
    with joined() as ranks:
        data = load_data(data_folder, kind, workers=workers, cache=cache, on_prepared=on_prepared, ranks=ranks)
        if ranks.first:
            claim(out, config, data.train)
        ranks.wait()
        stage("signal")
        signal = train_signal(config, data.recordings, out, ranks, Watch(on_batch, on_epoch))
        found = _folds(config, data, out, ranks, stage, on_batch)
        return _finish(config, data, signal, found, out, ranks, stage)


def training_entries(data_folder: Path) -> Sequence[Entry]:
    """The training folds of PTB-XL at 100 Hz, and again at 500 Hz where those files are there: the two differ a little
    in what the features see, and the network should not depend on it. Raises ValueError when there are none."""
    return open_dataset("ptbxl", data_folder).training_entries()


def load_data(
    data_folder: Path,
    kind: str,
    *,
    workers: int = 0,
    cache: Path = Path("var/cache"),
    on_prepared: Progress | None = None,
    ranks: Ranks = ALONE,
) -> TrainingData:
    """What is trained on. Of several processes the first prepares what is not in the cache yet; the others then find it
    there. Raises FileNotFoundError when `data_folder` is no folder of this kind, ValueError without recordings."""
    data_set = open_dataset(kind, data_folder)

    def load(entries: Sequence[Entry]) -> Prepared:
        return load_prepared(entries, cache, on_prepared, workers=workers, drop_unusable=not data_set.curated)

    if not ranks.first:
        ranks.wait()
    data = TrainingData(load(data_set.training_entries()), load(data_set.entries(Split.VAL)))
    if ranks.first:
        ranks.wait()
    return data


def _folds(
    config: TrainingConfig,
    data: TrainingData,
    out: Path,
    ranks: Ranks,
    stage: Callable[[str], None],
    on_batch: OnBatch | None,
) -> OutOfFold | None:
    if config.folds == 0:
        return None

    def on_fold(fold: int) -> None:
        stage(f"fold {fold + 1} of {config.folds}")

    return out_of_fold(config, data.train, out, ranks, on_fold, Watch(on_batch))


def _finish(
    config: TrainingConfig,
    data: TrainingData,
    signal: TrainedSignal,
    found: OutOfFold | None,
    out: Path,
    ranks: Ranks,
    stage: Callable[[str], None],
) -> TrainingResult:
    stage("features")
    readers = train_feature_readers(config, data.train, np.arange(len(data.train)))
    network = assemble(config, signal.weights, readers)
    stage("blend")
    blend = fit_blend_to(found) if found is not None else _without_folds(network, data.val)
    blend.put_into(network)
    if ranks.first:
        torch.save({name: value.contiguous() for name, value in network.state_dict().items()}, out / WEIGHTS_FILE)
        if found is not None:
            found.save(out / OUT_OF_FOLD_FILE)
    ranks.wait()
    score = macro_auc(data.val.labels, predict(network, data.val))
    return TrainingResult(out / WEIGHTS_FILE, signal.best, signal.epochs, score, blend, found)


def _without_folds(network: EcgNetwork, val: Prepared) -> BlendFit:
    patients = [entry.patient_id for entry in val.entries]
    return even_blend(val.labels, branch_logits(network, val, np.arange(len(val))), patients)
