"""`model`, `train`, `evaluate` and `promote`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interop.commands import released
from interop.commands.console import FAILED, WRONG_USAGE, err, out
from interop.commands.promotion import promote, require_ops, tracking
from interop.settings import Settings

if TYPE_CHECKING:
    from training.config import TrainingConfig
    from training.epochs import Epoch
    from training.tracking import TrackedRun


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Released models.")
    released.register(group)
    app.add_typer(group, name="model")
    for command in (train, evaluate, promote):
        app.command()(command)


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
    track: Annotated[bool, typer.Option(help="keep the run in MLflow (ECG_MLFLOW_URI)")] = True,
) -> None:
    """Train a model on the training folds, stopping early by the validation fold."""
    _require_training()
    if track:
        require_ops()
    from training.config import TrainingConfig
    from training.export import ParityBroken, export
    from training.progress import TerminalProgress
    from training.train import train as fit

    with _unusable_data():
        recipe = TrainingConfig.load(config) if config else TrainingConfig()
        with _tracked(track, recipe, data, run) as tracked, TerminalProgress(err, recipe.epochs) as shown:

            def on_epoch(epoch: "Epoch") -> None:
                shown.on_epoch(epoch)
                if tracked:
                    tracked.epoch(epoch)

            result = fit(
                recipe,
                data,
                run,
                on_prepared=shown.on_prepared,
                on_stage=shown.on_stage,
                on_batch=shown.on_batch,
                on_epoch=on_epoch,
            )
    out.print(f"best epoch {result.best.number + 1}: macro-AUC val of the signal alone {result.best.macro_auc:.3f}")
    out.print(f"macro-AUC val {result.macro_auc:.3f}; weights {result.weights}")
    if release:
        try:
            exported = export(run, data)
        except ParityBroken as error:
            err.print(str(error), markup=False)
            raise typer.Exit(FAILED) from error
        out.print(f"released {exported.folder} as a candidate; ONNX and torch differ by at most {exported.parity:.1e}")
        verdict = "released too" if exported.int8.released else "not released"
        out.print(f"int8 {verdict}: it loses {exported.int8.comparison.auc_loss:.4f} in macro-AUC")
        if track:
            from training.registry import Registry
            from training.tracking import run_id

            made = Registry(tracking(Settings())).register(exported.folder, run_id(run))
            out.print(f"registered in MLflow as {made.name} version {made.number}, alias {', '.join(made.aliases)}")


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
    from training.datasets.entry import Split
    from training.evaluate import evaluate as assess
    from training.progress import TerminalProgress

    if split not in (Split.VAL.value, Split.TEST.value):
        raise typer.BadParameter("val or test", param_hint="--split")
    with _unusable_data(), TerminalProgress(err, epochs=0) as shown:
        found = assess(find_model(model), data, Split(split), on_prepared=shown.on_prepared).assessment
    interval = found.macro_auc
    out.print(f"macro-AUC {split}: {interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})")


@contextmanager
def _tracked(track: bool, recipe: "TrainingConfig", data: Path, run: Path) -> Iterator["TrackedRun | None"]:
    """The MLflow run of a training; None when it is not to be tracked."""
    if not track:
        yield None
        return
    from training.commit import current_commit
    from training.datasets.catalog import open_dataset
    from training.tracking import fingerprint, tracked_run

    data_set = open_dataset("ptbxl", data)
    print_of_data = fingerprint(data_set.name, data_set.version, data_set.training_entries())
    commit = current_commit(Path(__file__).parent)
    with tracked_run(tracking(Settings()), recipe, print_of_data, run, commit=commit) as tracked:
        yield tracked


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
