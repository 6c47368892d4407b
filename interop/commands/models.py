"""`model list`, `train` and `evaluate`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from inference.artifact import MODELS, load_artifact
from inference.errors import ConfigurationError
from interop.commands.console import FAILED, WRONG_USAGE, err, out, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Released models.")
    group.command("list")(list_models)
    app.add_typer(group, name="model")
    for command in (train, evaluate):
        app.command()(command)


def list_models(as_json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False) -> None:
    """List the released models under ./models with their status and figures; each must be as it was released."""
    cards = [load_artifact(path.parent).card for path in sorted(MODELS.glob("*/*/card.json"))]
    if not cards:
        raise ConfigurationError(f"no released model under {MODELS.resolve()}")
    if as_json:
        print_json(cards)
        return
    table = Table("name", "version", "status", "macro-AUC val", "macro-AUC test", box=None, padding=(0, 2, 0, 0))
    for card in cards:
        auc = {split: card["metrics"].get(split, {}).get("macro_auc") for split in ("val", "test")}
        table.add_row(card["name"], card["version"], card["status"], *(_interval(auc[s]) for s in ("val", "test")))
    print_table(table)


def _interval(figure: dict[str, float] | None) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" if figure else "not looked at"


Data = Annotated[Path, typer.Option(exists=True, file_okay=False, help="a folder in the official PTB-XL layout")]


def train(
    data: Data,
    run: Annotated[Path, typer.Option(help="folder of the run; an unfinished run there is resumed")] = Path("var/run"),
    config: Annotated[
        Path | None, typer.Option(exists=True, help="JSON file with what differs from the recipe")
    ] = None,
    release: Annotated[
        bool, typer.Option("--release", help="release the result under ./models as a candidate")
    ] = False,
) -> None:
    """Train a model on the training folds, stopping early by the validation fold."""
    _require_training()
    from training.config import TrainingConfig
    from training.export import ParityBroken, export
    from training.progress import TerminalProgress
    from training.train import train as fit

    with _unusable_data():
        recipe = TrainingConfig.load(config) if config else TrainingConfig()
        with TerminalProgress(err, recipe.epochs) as shown:
            result = fit(
                recipe, data, run, on_prepared=shown.on_prepared, on_batch=shown.on_batch, on_epoch=shown.on_epoch
            )
    out.print(
        f"best epoch {result.best.number + 1}: macro-AUC val {result.best.macro_auc:.3f}; weights {result.weights}"
    )
    if release:
        try:
            exported = export(run, data)
        except ParityBroken as error:
            err.print(str(error), markup=False)
            raise typer.Exit(FAILED) from error
        out.print(f"released {exported.folder} as a candidate; ONNX and torch differ by at most {exported.parity:.1e}")
        verdict = "released too" if exported.int8.released else "not released"
        out.print(f"int8 {verdict}: it loses {exported.int8.comparison.auc_loss:.4f} in macro-AUC")


def evaluate(
    data: Data,
    model: Annotated[
        Path | None, typer.Option(help="folder of a released model; default: the champion pointer")
    ] = None,
    split: Annotated[str, typer.Option(help="val or test; a look at test is logged")] = "val",
) -> None:
    """Evaluate a released model on one split and write the figures into its card."""
    _require_training()
    from inference.artifact import find_model
    from training.datasets.ptbxl import Split
    from training.evaluate import evaluate as assess
    from training.progress import TerminalProgress

    if split not in (Split.VAL.value, Split.TEST.value):
        raise typer.BadParameter("val or test", param_hint="--split")
    with _unusable_data(), TerminalProgress(err, epochs=0) as shown:
        found = assess(find_model(model), data, Split(split), on_prepared=shown.on_prepared).assessment
    interval = found.macro_auc
    out.print(f"macro-AUC {split}: {interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})")


@contextmanager
def _unusable_data() -> Iterator[None]:
    """A folder or recipe that cannot be used is the caller's to change."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(WRONG_USAGE) from error


def _require_training() -> None:
    """The serving environment holds no training library; say what to do instead of failing on an import."""
    if not all(find_spec(package) for package in ("torch", "onnx", "sklearn")):
        err.print("this needs the training libraries: make test sets up .venv-dev, or pip install '.[train]'")
        raise typer.Exit(WRONG_USAGE)
