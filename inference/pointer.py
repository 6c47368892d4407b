"""`champion.json`: which released model is served, and how it came to that.

The pointer and its history are one file, so that both change in one atomic rename and a reader never sees half of
either. The history is a stack: an activation puts a model on it, a rollback takes one off, so that rolling back twice
goes back two activations instead of forth again.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from inference.artifact import CARD_FILE, POINTER_FILE, read_card, read_json
from inference.errors import ConfigurationError, ModelInvalid


class Step(StrEnum):
    """What changed the pointer."""

    RELEASE = "release"
    PROMOTE = "promote"
    ACTIVATE = "activate"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the pointer. at: ISO 8601, UTC. to, before: paths of models below the pointer's folder; before is
    None for the first one. by: who did it."""

    at: str
    by: str
    step: Step
    before: str | None
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """path: of the served model, below the folder of the pointer file; None while nothing was ever activated.
    history: oldest first."""

    path: str | None
    history: tuple[Change, ...] = ()

    @property
    def previous(self) -> str | None:
        """The model that a rollback brings back."""
        stack = active_stack(self.history)
        return stack[-2] if len(stack) > 1 else None


def active_stack(history: Sequence[Change]) -> list[str]:
    """The models that were activated and not rolled back, the served one last."""
    stack: list[str] = []
    for change in history:
        if change.step is Step.ROLLBACK:
            stack.pop()
            continue
        if not stack and change.before is not None:
            stack.append(change.before)  # served before there was a history
        if not stack or stack[-1] != change.to:
            stack.append(change.to)
    return stack


def read_pointer(models: Path) -> Pointer:
    """The pointer of a folder of models. Raises ModelInvalid when it is broken."""
    file = models / POINTER_FILE
    if not file.exists():
        return Pointer(None)
    value = read_json(file)
    try:
        history = tuple(Change(**{**change, "step": Step(change["step"])}) for change in value.get("history", ()))
        pointer = Pointer(str(value["path"]), history)
        active_stack(history)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelInvalid(f"{file}: is no pointer to a model", element=str(file)) from error
    return pointer


def last_change(models: Path) -> Change | None:
    """The newest change of the pointer; None before there was one. Raises ModelInvalid when it is broken."""
    history = read_pointer(models).history
    return history[-1] if history else None


def activate(
    models: Path, name: str, version: str, *, by: str, reason: str, at: datetime, step: Step = Step.ACTIVATE
) -> Pointer:
    """Point to a released model; the caller has verified that it can be served. at: aware.

    Raises ModelInvalid when there is no such release, OSError when the folder cannot be written.
    """
    path = release_path(models, name, version)
    with _locked(models):
        before = read_pointer(models)
        change = Change(at=_time(at), by=by, step=step, before=before.path, to=path, reason=reason)
        return _write(models, Pointer(path, (*before.history, change)))


def roll_back(models: Path, *, by: str, reason: str, at: datetime) -> Pointer:
    """Point to the model that was served before the last activation; the caller has verified that it can be served.

    Raises ConfigurationError when there is none, OSError when the folder cannot be written."""
    with _locked(models):
        before = read_pointer(models)
        if before.previous is None:
            raise ConfigurationError(f"{models / POINTER_FILE}: no model was active before this one")
        change = Change(at=_time(at), by=by, step=Step.ROLLBACK, before=before.path, to=before.previous, reason=reason)
        return _write(models, Pointer(before.previous, (*before.history, change)))


def release_path(models: Path, name: str, version: str) -> str:
    """`name/version`, if that is a release of that name and version. Raises ModelInvalid."""
    path = f"{name}/{version}"
    folder = models / path
    if not (folder / CARD_FILE).is_file():
        raise ModelInvalid(f"{folder}: there is no such release; `ecg-interop model list` names them")
    card = read_card(folder)
    if (card["name"], card["version"]) != (name, version):
        raise ModelInvalid(f"{folder}: its card calls it {card['name']} {card['version']}", element=str(folder))
    return path


def _write(models: Path, pointer: Pointer) -> Pointer:
    """One rename: whoever reads at this moment gets the old file or the new one."""
    assert pointer.path is not None
    name, _, version = pointer.path.rpartition("/")
    history = [asdict(change) for change in pointer.history]
    value = {"name": name, "version": version, "path": pointer.path, "history": history}
    partial = models / f".{POINTER_FILE}.partial"
    with partial.open("w") as file:
        file.write(json.dumps(value, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(models / POINTER_FILE)
    return pointer


@contextmanager
def _locked(models: Path) -> Iterator[None]:
    """One change at a time on this machine: two at once would lose one from the history."""
    folder = os.open(models, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
