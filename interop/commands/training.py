"""`train`, `train-curve` and `evaluate`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interop.commands.card_counts import tell_cards
from interop.commands.console import FAILED, WRONG_USAGE, err, out, require
from interop.commands.promotion import require_ops, tracking
from interop.settings import Settings

if TYPE_CHECKING:
    from training.assessment import ReleaseAssessment
    from training.config import TrainingConfig
    from training.datasets.entry import Split
    from training.epochs import Epoch
    from training.evaluate import CountedCards
    from training.export import Exported
    from training.learning_curve import LearningPoint
    from training.progress import TerminalProgress
    from training.scores import Assessment
    from training.tracking import TrackedRun
    from training.train import TrainingResult

NEEDED = ("torch", "onnx", "sklearn", "fairlearn", "matplotlib")

Data = Annotated[Path, typer.Option(exists=True, file_okay=False, help="folder of the data set, in its own layout")]
Kind = Annotated[str, typer.Option(help="of the data set: ptbxl, code15, chapman or cohort")]
Workers = Annotated[int, typer.Option(min=0, help="processes that prepare recordings beside this one")]
Recipe = Annotated[Path | None, typer.Option(exists=True, help="JSON file with what differs from the recipe")]
External = Annotated[
    tuple[str, Path] | None, typer.Option(help="kind and folder of another data set, to check the model on")
]
Curve = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="learning curve for the card, made by train-curve")
]
Track = Annotated[bool, typer.Option(help="keep the run in MLflow (ECG_MLFLOW_URI)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Which data. external: kind -> folder, as for `training.assessment.assess_release`."""

    data: Path
    kind: str
    workers: int
    external: dict[str, Path]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (train, train_curve, evaluate):
        app.command()(command)


def train(
    data: Data,
    kind: Kind = "ptbxl",
    run: Annotated[Path, typer.Option(help="folder of the run; an unfinished run there is resumed")] = Path("var/run"),
    config: Recipe = None,
    workers: Workers = 0,
    release: Annotated[
        bool, typer.Option("--release", help="release the result under ./models as a candidate, with its card")
    ] = False,
    external: External = None,
    curve: Curve = None,
    track: Track = True,
) -> None:
    """Train a model on the training split of a data set, stopping early by its validation split."""
    _require_training()
    if track:
        require_ops()
    asked = _Asked(data=data, kind=kind, workers=workers, external=_folders(external))
    with _unusable_data():
        recipe = _recipe(config)
        with _tracked(track, recipe, asked, run) as tracked, _progress(recipe.epochs) as shown:
            _tell_result(_fit(recipe, asked, run, shown, tracked))
            if release:
                _release(asked, run, curve, shown, tracked)


def train_curve(
    data: Data,
    to: Annotated[Path, typer.Option(dir_okay=False, help="JSON file for the points")] = Path("var/curve.json"),
    kind: Kind = "ptbxl",
    run: Annotated[Path, typer.Option(help="folder that keeps what was trained")] = Path("var/curve"),
    config: Recipe = None,
    workers: Workers = 0,
    signal: Annotated[bool, typer.Option(help="also the signal's branch, which takes nearly all of the time")] = True,
) -> None:
    """Train on growing parts of the training split: how much more recordings would bring."""
    _require_training()
    from training.learning_curve import curve_json, learning_curve
    from training.train import load_data

    def on_point(point: "LearningPoint") -> None:
        figures = ", ".join(f"{name} {found.value:.3f}" for name, found in point.macro_auc.items() if found)
        out.print(f"{point.recordings} recordings: macro-AUC val {figures}")

    with _unusable_data():
        recipe = _recipe(config)
        with _progress(epochs=0) as shown:
            loaded = load_data(data, kind, workers=workers, on_prepared=shown.on_prepared)
        points = learning_curve(recipe, loaded.train, loaded.val, run, signal=signal, on_point=on_point)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(curve_json(points) + "\n")
    out.print(f"points {to}")


def evaluate(
    data: Data,
    kind: Kind = "ptbxl",
    model: Annotated[
        Path | None, typer.Option(help="folder of a released model; default: the champion pointer")
    ] = None,
    split: Annotated[str, typer.Option(help="val or test; a look at test is logged")] = "val",
    run: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="of its training: renew all that the card shows but test"),
    ] = None,
    external: External = None,
    curve: Curve = None,
    workers: Workers = 0,
    cards: Annotated[
        bool, typer.Option("--cards", help="count instead how often CDS Hooks cards would come and be right")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with --cards: for a program to read")] = False,
) -> None:
    """Evaluate a released model on one split, and on another data set if asked, and write the figures into its card."""
    _require_training()
    from inference.artifact import find_model
    from training.datasets.entry import Split

    if split not in (Split.VAL.value, Split.TEST.value):
        raise typer.BadParameter("val or test", param_hint="--split")
    if run and split == Split.TEST.value:
        raise typer.BadParameter("the test split is asked for by itself, without --run", param_hint="--split")
    if curve and not run:
        raise typer.BadParameter("goes with --run", param_hint="--curve")
    if cards and (run or external):
        raise typer.BadParameter("goes without --run and --external", param_hint="--cards")
    if as_json and not cards:
        raise typer.BadParameter("goes with --cards", param_hint="--json")
    asked = _Asked(data=data, kind=kind, workers=workers, external=_folders(external))
    with _unusable_data(), _progress(epochs=0) as shown:
        folder = find_model(model)
        counted = _count_cards(folder, Split(split), asked, shown) if cards else None
        if run:
            _assess(folder, asked, run, curve, shown)
        elif not cards:
            _evaluate(folder, Split(split), asked, shown)
    if counted:  # after the bars, which have standard output while they are shown on a terminal
        tell_cards(counted, as_json=as_json)


def _fit(
    recipe: "TrainingConfig", asked: _Asked, run: Path, shown: "TerminalProgress", tracked: "TrackedRun | None"
) -> "TrainingResult":
    from training.train import train as fit

    def on_epoch(epoch: "Epoch") -> None:
        shown.on_epoch(epoch)
        if tracked:
            tracked.epoch(epoch)

    return fit(
        recipe,
        asked.data,
        run,
        kind=asked.kind,
        workers=asked.workers,
        on_prepared=shown.on_prepared,
        on_stage=shown.on_stage,
        on_batch=shown.on_batch,
        on_epoch=on_epoch,
    )


def _release(
    asked: _Asked, run: Path, curve: Path | None, shown: "TerminalProgress", tracked: "TrackedRun | None"
) -> None:
    from training.export import ParityBroken, export

    try:
        exported = export(run, asked.data, kind=asked.kind)
    except ParityBroken as error:
        err.print(str(error), markup=False)
        raise typer.Exit(FAILED) from error
    _tell_release(exported)
    found = _assess(exported.folder, asked, run, curve, shown)
    if tracked:
        from training.registry import Registry

        tracked.plots(found.plots)
        tracked.figures(**found.figures)
        made = Registry(tracking(Settings())).register(exported.folder, tracked.id)
        out.print(f"registered in MLflow as {made.name} version {made.number}, alias {', '.join(made.aliases)}")


def _assess(
    folder: Path, asked: _Asked, run: Path, curve: Path | None, shown: "TerminalProgress"
) -> "ReleaseAssessment":
    from training.assessment import assess_release

    found = assess_release(
        folder,
        run,
        asked.data,
        kind=asked.kind,
        external=asked.external,
        curve=curve,
        workers=asked.workers,
        on_stage=shown.on_stage,
        on_prepared=shown.on_prepared,
    )
    for name, evaluation in found.evaluations.items():
        _tell_score(name, evaluation.assessment)
    for condition in found.fairness.conditions if found.fairness else ():
        value = "cannot be judged" if condition.value is None else f"{condition.value:.2f}"
        out.print(f"{condition.name}: {value}, {condition.threshold:g} is needed")
    out.print(f"card {folder}; plots {found.plots}")
    return found


def _evaluate(folder: Path, split: "Split", asked: _Asked, shown: "TerminalProgress") -> None:
    from training.datasets.catalog import open_dataset
    from training.evaluate import evaluate as score
    from training.evaluate import evaluate_external

    prepared = shown.on_prepared
    found = score(folder, asked.data, split, kind=asked.kind, workers=asked.workers, on_prepared=prepared)
    _tell_score(found.name, found.assessment)
    for other, place in asked.external.items():
        entries = open_dataset(other, place).external_entries()
        found = evaluate_external(folder, entries, other, workers=asked.workers, on_prepared=prepared)
        _tell_score(found.name, found.assessment)


def _count_cards(folder: Path, split: "Split", asked: _Asked, shown: "TerminalProgress") -> "CountedCards":
    from training.evaluate import count_cards

    return count_cards(folder, asked.data, split, kind=asked.kind, on_counted=shown.on_prepared)


def _tell_result(result: "TrainingResult") -> None:
    out.print(f"best epoch {result.best.number + 1}: macro-AUC val of the signal alone {result.best.macro_auc:.3f}")
    out.print(f"macro-AUC val {result.macro_auc:.3f}; weights {result.weights}")


def _tell_release(exported: "Exported") -> None:
    out.print(f"released {exported.folder} as a candidate; ONNX and torch differ by at most {exported.parity:.1e}")
    verdict = "released too" if exported.int8.released else "not released"
    out.print(f"int8 {verdict}: it loses {exported.int8.comparison.auc_loss:.4f} in macro-AUC")


def _tell_score(name: str, assessment: "Assessment") -> None:
    interval = assessment.macro_auc
    out.print(f"macro-AUC {name}: {interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})")


def _recipe(config: Path | None) -> "TrainingConfig":
    from training.config import TrainingConfig

    return TrainingConfig.load(config) if config else TrainingConfig()


def _folders(external: tuple[str, Path] | None) -> dict[str, Path]:
    return dict([external]) if external else {}


def _progress(epochs: int) -> "TerminalProgress":
    from training.progress import TerminalProgress

    return TerminalProgress(err, epochs)


@contextmanager
def _tracked(track: bool, recipe: "TrainingConfig", asked: _Asked, run: Path) -> Iterator["TrackedRun | None"]:
    """The MLflow run of a training; None when it is not to be tracked."""
    if not track:
        yield None
        return
    from training.commit import current_commit
    from training.datasets.catalog import open_dataset
    from training.tracking import fingerprint, tracked_run

    data_set = open_dataset(asked.kind, asked.data)
    print_of_data = fingerprint(data_set.name, data_set.version, data_set.training_entries())
    commit = current_commit(Path(__file__).parent)
    with tracked_run(tracking(Settings()), recipe, print_of_data, run, commit=commit) as tracked:
        yield tracked


@contextmanager
def _unusable_data() -> Iterator[None]:
    """A folder, kind or recipe that cannot be used is the caller's to change."""
    try:
        yield
    except (FileNotFoundError, PermissionError, ValueError) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(WRONG_USAGE) from error


def _require_training() -> None:
    """The serving environment holds no training library; say what to do instead of failing on an import."""
    require(NEEDED, "the training libraries", "train")
