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
from enum import StrEnum
from pathlib import Path


class AlreadyLooked(ValueError):
    """The test split gives each model one answer; the second would be the first again, or a choice between two."""


class Purpose(StrEnum):
    """What is asked. `figure`: how good the model is, which decides on its release. `cards`: how often cards would come
    and be right, which decides nothing about the model."""

    FIGURE = "figure"
    CARDS = "cards"


@dataclass(slots=True)
class Look:
    """Permission to read a test split, valid inside `open_look`. macro_auc, note: to be set by the one who looked; a
    look for a figure is answered by the first, any other by the second."""

    macro_auc: float | None = None
    note: str | None = None
    open: bool = True


@contextmanager
def open_look(log: Path, *, commit: str | None, sha256: str, purpose: Purpose = Purpose.FIGURE) -> Iterator[Look]:
    """Allow one look at the test split, and append it to `log` (JSON lines) whatever happens during it.

    commit: of the code that looks, None outside a checkout. sha256: of the weights that are looked at. A look that
    fails half way is recorded without its answer; one for another purpose never with a figure. Raises, before anything
    can be read, AlreadyLooked when these weights have their answer to this, PermissionError for another purpose while
    they have no figure, OSError when `log` cannot be written.
    """
    _require_open_question(log, sha256, purpose)
    log.parent.mkdir(parents=True, exist_ok=True)
    look = Look()
    with log.open("a") as file:
        try:
            yield look
        finally:
            look.open = False
            date = datetime.now(UTC).isoformat(timespec="seconds")
            entry = {"date": date, "commit": commit, "sha256": sha256, **_answer(look, purpose)}
            file.write(json.dumps(entry) + "\n")


def scored(log: Path, sha256: str) -> list[dict[str, object]]:
    """The looks that gave these weights a figure: one, or none yet."""
    return [entry for entry in looks(log) if entry["sha256"] == sha256 and entry["macro_auc"] is not None]


def looks(log: Path) -> list[dict[str, object]]:
    """All recorded looks, oldest first."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _require_open_question(log: Path, sha256: str, purpose: Purpose) -> None:
    """The figure comes first: what is asked after it cannot have shaped what the gate was asked about."""
    has_figure = bool(scored(log, sha256))
    if purpose is Purpose.FIGURE:
        if has_figure:
            raise AlreadyLooked(f"{sha256[:12]} has been looked at: the figure is in {log} and on its card")
        return
    if not has_figure:
        raise PermissionError(f"{sha256[:12]} has no figure on the test split yet: {purpose} are asked for after it")
    same = [e for e in looks(log) if e["sha256"] == sha256 and e.get("purpose") == purpose and e["note"] is not None]
    if same:
        raise AlreadyLooked(f"{sha256[:12]} was looked at for {purpose} before, on {same[0]['date']}: see {log}")


def _answer(look: Look, purpose: Purpose) -> dict[str, object]:
    """A line without a purpose is a look for a figure: there was nothing else at first."""
    if purpose is Purpose.FIGURE:
        return {"macro_auc": look.macro_auc}
    return {"macro_auc": None, "purpose": purpose.value, "note": look.note}
