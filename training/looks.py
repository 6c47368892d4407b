"""The record of every look at the test split.

A test split tells the truth once. Every look that influences a decision turns it a little into a validation split, so
each one is written down, in a file that is kept with the models, and no data set gives out its test split without the
`Look` that was opened for it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


class AlreadyLooked(ValueError):
    """The test split gives each model one answer; the second would be the first again, or a choice between two."""


@dataclass(slots=True)
class Look:
    """Permission to read a test split, valid inside `open_look`. macro_auc: to be set by the one who looked."""

    macro_auc: float | None = None
    open: bool = True


@contextmanager
def open_look(log: Path, *, commit: str | None, sha256: str) -> Iterator[Look]:
    """Allow one look at the test split, and append it to `log` (JSON lines) whatever happens during it.

    commit: of the code that looks, None outside a checkout. sha256: of the weights that are looked at. A look that
    fails half way is recorded with macro_auc null. Raises, before anything can be read, AlreadyLooked when these
    weights have their figure, OSError when `log` cannot be written.
    """
    if scored(log, sha256):
        raise AlreadyLooked(f"{sha256[:12]} has been looked at: the figure is in {log} and on its card")
    log.parent.mkdir(parents=True, exist_ok=True)
    look = Look()
    with log.open("a") as file:
        try:
            yield look
        finally:
            look.open = False
            date = datetime.now(UTC).isoformat(timespec="seconds")
            entry = {"date": date, "commit": commit, "sha256": sha256, "macro_auc": look.macro_auc}
            file.write(json.dumps(entry) + "\n")


def scored(log: Path, sha256: str) -> list[dict[str, object]]:
    """The looks that gave these weights a figure: one, or none yet."""
    return [entry for entry in looks(log) if entry["sha256"] == sha256 and entry["macro_auc"] is not None]


def looks(log: Path) -> list[dict[str, object]]:
    """All recorded looks, oldest first."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
