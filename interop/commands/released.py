"""`model list`, `activate` and `rollback`: which of the released models is served."""

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from inference.artifact import find_models, load_artifact, mismatches, read_card
from inference.errors import ConfigurationError
from inference.pointer import Pointer, activate, read_pointer, release_path, roll_back
from inference.prediction import ModelStatus
from interop.commands.console import out, print_json, print_table
from interop.settings import Settings

WHO = "who does it; default: the user of this process"

Json = Annotated[bool, typer.Option("--json", help="for a program to read")]
By = Annotated[str | None, typer.Option(help=WHO)]
Reason = Annotated[str, typer.Option(help="why; kept in the history of champion.json and in the audit trail")]


def register(group: typer.Typer) -> None:
    """Add the commands of this module to `model`."""
    group.command("list")(list_models)
    group.command("activate")(activate_model)
    group.command("rollback")(roll_back_model)


def list_models(as_json: Json = False) -> None:
    """List the released models with their status and figures, and which is active; each must be as it was released."""
    models = find_models(Settings().model)
    folders = [path.parent for path in sorted(models.glob("*/*/card.json"))]
    if not folders:
        raise ConfigurationError(f"no released model under {models.resolve()}")
    active = read_pointer(models).path
    rows = [_row(folder, active == folder.relative_to(models).as_posix()) for folder in folders]
    if as_json:
        print_json(rows)
        return
    headers = ("name", "version", "status", "active", "macro-AUC val", "macro-AUC test", "cannot be served")
    table = Table(*headers, box=None, padding=(0, 2, 0, 0))
    for card in rows:
        auc = {split: card["metrics"].get(split, {}).get("macro_auc") for split in ("val", "test")}
        figures = (_interval(auc[split]) for split in ("val", "test"))
        active_mark = "active" if card["active"] else ""
        table.add_row(
            card["name"], card["version"], _status(card), active_mark, *figures, "; ".join(card["not_servable"])
        )
    print_table(table)


def activate_model(name: str, version: str, by: By = None, reason: Reason = "") -> None:
    """Serve a released model from now on: a running service takes it up within seconds, without a pause."""
    settings = Settings()
    models = find_models(settings.model)
    _serve_once(settings, models / release_path(models, name, version))
    pointer = activate(models, name, version, by=by or whoami(), reason=reason, at=datetime.now(UTC))
    _tell(models, pointer, settings)


def roll_back_model(by: By = None, reason: Reason = "") -> None:
    """Serve the model again that was active before this one."""
    settings = Settings()
    models = find_models(settings.model)
    previous = read_pointer(models).previous
    if previous is not None:
        _serve_once(settings, models / previous)
    pointer = roll_back(models, by=by or whoami(), reason=reason, at=datetime.now(UTC))
    _tell(models, pointer, settings)


def whoami() -> str:
    """The user of this process, by number where it has no name (a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _serve_once(settings: Settings, folder: Path) -> None:
    """Check form, checksums and engine, and run it as a service would. Raises ModelInvalid, ModelUnavailable."""
    from interop.bootstrap import load_model

    load_model(settings, folder)


def _tell(models: Path, pointer: Pointer, settings: Settings) -> None:
    change = pointer.history[-1]
    out.print(f"active: {pointer.path} (before: {change.before or 'none'})")
    status = read_card(models / change.to)["status"]
    if status == ModelStatus.CANDIDATE and not settings.allow_candidate:
        out.print("It is a candidate: it runs silent, unless ECG_ALLOW_CANDIDATE=true where the service runs.")


def _row(folder: Path, active: bool) -> dict[str, Any]:
    """The card, with what this folder and this code make of it. Raises ModelInvalid when it is not as released."""
    card = read_card(folder)
    reasons = list(mismatches(card))
    if not reasons:
        load_artifact(folder)
    return {**card, "active": active, "not_servable": reasons}


def _status(card: dict[str, Any]) -> str:
    return f"{card['status']}, {card['waiver']['says']}" if "waiver" in card else str(card["status"])


def _interval(figure: dict[str, float] | None) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" if figure else "not looked at"
