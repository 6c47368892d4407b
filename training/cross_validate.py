"""Cross-validation on the training recordings: predictions for each by a network that never saw its patient.

They decide on everything that is chosen in training (the blend among it), and they are what fairness is judged on:
there are too few validation recordings for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.blend import BlendFit, fit_blend
from training.branches import assemble, branch_logits, distinct, train_feature_readers
from training.config import TrainingConfig
from training.datasets.entry import Entry
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.preparing import Progress
from training.distributed import Ranks, joined
from training.folds import patient_folds
from training.out_of_fold import OutOfFold
from training.run_folder import claim
from training.signal_branch import UNWATCHED, Material, Rows, Watch, train_signal

LOGITS_FILE = "logits.npy"

Array = NDArray[np.float32]


def cross_validate(
    config: TrainingConfig,
    entries: Sequence[Entry],
    out: Path,
    *,
    cache: Path = Path("var/cache"),
    workers: int = 0,
    drop_unusable: bool = False,
    on_prepared: Progress | None = None,
    on_fold: Callable[[int], None] | None = None,
    watch: Watch = UNWATCHED,
) -> OutOfFold:
    """Train one network a fold, in folders below `out`; what lies there of the same run is not trained again.

    entries: of the training split, with their repeats at other sampling rates. on_fold: told the number of each fold
    that is begun. Raises ValueError when `out` holds another run, or there are fewer patients than folds.
    """
    with joined() as ranks:
        data = load_prepared(entries, cache, on_prepared, workers=workers, drop_unusable=drop_unusable)
        if ranks.first:
            claim(out, config, data)
        return out_of_fold(config, data, out, ranks, on_fold, watch)


def out_of_fold(
    config: TrainingConfig,
    data: Prepared,
    out: Path,
    ranks: Ranks,
    on_fold: Callable[[int], None] | None = None,
    watch: Watch = UNWATCHED,
) -> OutOfFold:
    """As `cross_validate`, of prepared recordings, in a folder that was claimed."""
    patients = [entry.patient_id for entry in data.entries]
    folds = patient_folds(patients, config.folds)
    rows = distinct(data, np.arange(len(data)))
    branches = np.empty((len(data), 3, data.labels.shape[1]), np.float32)
    for fold in range(config.folds):
        if on_fold is not None and ranks.first:
            on_fold(fold)
        held = rows[folds[rows] == fold]
        branches[held] = _fold_logits(config, data, np.flatnonzero(folds != fold), held, fold, out, ranks, watch)
    chosen = tuple(patients[row] for row in rows)
    return _blended(
        OutOfFold(
            probabilities=np.empty((len(rows), data.labels.shape[1]), np.float32),
            branches=branches[rows],
            labels=data.labels[rows],
            recording_ids=data.recording_ids[rows],
            patient_ids=chosen,
            folds=folds[rows],
        )
    )


def fit_blend_to(found: OutOfFold, chosen: NDArray[np.bool_] | None = None) -> BlendFit:
    """The blend of these predictions, or of the chosen ones."""
    rows = np.flatnonzero(np.ones(len(found.labels), np.bool_) if chosen is None else chosen)
    return fit_blend(found.labels[rows], found.branches[rows], [found.patient_ids[row] for row in rows])


def _blended(found: OutOfFold) -> OutOfFold:
    probabilities = np.empty_like(found.probabilities)
    for fold in np.unique(found.folds):
        held = found.folds == fold
        probabilities[held] = fit_blend_to(found, ~held).probabilities(found.branches[held])
    return replace(found, probabilities=probabilities)


def _fold_logits(
    config: TrainingConfig, data: Prepared, rows: Rows, held: Rows, fold: int, out: Path, ranks: Ranks, watch: Watch
) -> Array:
    """Logits (held, 3, 5) of networks that are trained on the other rows, with a seed of their own."""
    folder = out / "folds" / str(fold)
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / LOGITS_FILE
    own = replace(config, seed=config.seed + 1 + fold)
    if not ranks.told(stored.is_file()):
        signal = train_signal(own, Material(data, distinct(data, rows)), folder, ranks, watch)
        if ranks.first:
            network = assemble(own, signal.weights, train_feature_readers(own, data, rows))
            _save(stored, branch_logits(network, data, held))
        ranks.wait()
    found: Array = np.load(stored)
    return found


def _save(path: Path, logits: Array) -> None:
    """An interrupted write leaves nothing."""
    partial = path.with_name("partial.npy")
    np.save(partial, logits)
    partial.replace(path)
