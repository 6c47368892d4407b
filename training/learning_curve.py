"""How the score grows with the number of training recordings: what more data would bring.

Subsets are made of patients, each containing the smaller ones; all are scored on the same validation recordings. No
blend is fitted to so few recordings: the whole model's point is that of an even blend.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.network import BRANCHES
from training.blend import weighted
from training.bootstrap import Interval, bootstrap
from training.branches import distinct, train_feature_readers
from training.config import TrainingConfig
from training.datasets.prepared import Prepared
from training.distributed import Ranks
from training.folds import patient_subset
from training.scores import macro_auc_statistic
from training.signal_branch import Material, Rows, signal_logits, train_signal, trained_branch

SHARES = (0.1, 0.25, 0.5, 1.0)
WHOLE = "whole model"

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """share: of the training patients. macro_auc: on the validation recordings, by branch and of the whole model; None
    where it is not defined."""

    share: float
    recordings: int
    macro_auc: Mapping[str, Interval | None]


def learning_curve(
    config: TrainingConfig,
    data: Prepared,
    val: Prepared,
    folder: Path,
    *,
    shares: Sequence[float] = SHARES,
    signal: bool = True,
    on_point: Callable[[LearningPoint], None] | None = None,
) -> tuple[LearningPoint, ...]:
    """A network for each share of the patients. signal: also its branch, which takes nearly all of the time; without
    it the curves are those of the branches that read the features. Signals that were trained are kept in `folder`.

    Raises ValueError for a share that is not in (0, 1].
    """
    points = []
    for share in shares:
        rows = patient_subset([entry.patient_id for entry in data.entries], share)
        logits = _reader_logits(config, data, val, rows)
        if signal:
            logits = {BRANCHES[0]: _signal_logits(config, data, val, rows, folder / f"{share:g}"), **logits}
            even = np.full(len(BRANCHES), 1 / len(BRANCHES))
            logits[WHOLE] = weighted(np.stack([logits[name] for name in BRANCHES], axis=1), even).astype(np.float32)
        point = LearningPoint(share, len(distinct(data, rows)), {name: _score(val, by) for name, by in logits.items()})
        points.append(point)
        if on_point is not None:
            on_point(point)
    return tuple(points)


def curve_json(points: Sequence[LearningPoint]) -> str:
    """A JSON list, one object a point."""
    return json.dumps([asdict(point) for point in points], indent=2)


def read_curve(path: Path) -> tuple[LearningPoint, ...]:
    """What `curve_json` gave, in a file. Raises ValueError for something else."""
    try:
        return tuple(
            LearningPoint(
                share=point["share"],
                recordings=point["recordings"],
                macro_auc={name: found and Interval(**found) for name, found in point["macro_auc"].items()},
            )
            for point in json.loads(path.read_text())
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no learning curve") from error


def _reader_logits(config: TrainingConfig, data: Prepared, val: Prepared, rows: Rows) -> dict[str, Array]:
    readers = train_feature_readers(config, data, rows)
    return dict(zip(BRANCHES[1:], readers.logits(val.features), strict=True))


def _signal_logits(config: TrainingConfig, data: Prepared, val: Prepared, rows: Rows, folder: Path) -> Array:
    folder.mkdir(parents=True, exist_ok=True)
    trained = train_signal(config, Material(data, distinct(data, rows)), folder, Ranks())
    return signal_logits(trained_branch(config, trained.weights), val, np.arange(len(val)))


def _score(val: Prepared, logits: Array) -> Interval | None:
    patients = [entry.patient_id for entry in val.entries]
    return bootstrap(macro_auc_statistic(val.labels, logits), len(val), patients)
