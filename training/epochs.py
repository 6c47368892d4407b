"""What an epoch brought, in memory and as a line of `log.jsonl`."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG_FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought. loss: mean over training recordings. macro_auc: of the averaged weights, on val; NaN in
    a run that validates nothing. best: whether its weights are the ones to keep so far."""

    number: int
    loss: float
    macro_auc: float
    best: bool


OnBatch = Callable[[int, int, float], None]  # epoch, batches done in it, mean loss so far
OnEpoch = Callable[[Epoch], None]


def is_stopped(epochs: Sequence[Epoch], patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing better."""
    best = max((e.number for e in epochs if e.best), default=0)
    return len(epochs) > best + patience


def is_better(macro_auc: float, epochs: Sequence[Epoch]) -> bool:
    """Whether this score is above all before; the latest weights are the ones to keep where nothing is validated."""
    return math.isnan(macro_auc) or macro_auc > max((e.macro_auc for e in epochs), default=0.0)


def append_epoch(folder: Path, epoch: Epoch) -> None:
    """Add a line to the log of a run."""
    score = None if math.isnan(epoch.macro_auc) else epoch.macro_auc
    line: dict[str, Any] = {"epoch": epoch.number, "loss": epoch.loss, "macro_auc": score, "best": epoch.best}
    with (folder / LOG_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_epochs(folder: Path) -> tuple[Epoch, ...]:
    """The log of a run, an epoch that was trained again only once. Raises FileNotFoundError when there is none."""
    lines = map(json.loads, (folder / LOG_FILE).read_text().splitlines())
    found = {line["epoch"]: line for line in lines}
    return tuple(
        Epoch(number, line["loss"], math.nan if line["macro_auc"] is None else line["macro_auc"], line["best"])
        for number, line in sorted(found.items())
    )
