"""What there is to know of a release, put into its card: scores, calibration, fairness, a check on another source, and
figures. The one step from an exported run to a card that the promotion gate can be asked about.

The test split is no part of it: `training.evaluate` reads it when someone asks for that.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from actions.policy import load_policy
from inference.labels import Superclass
from training.card import add_calibration, add_fairness, add_figures, read_card
from training.cross_validate import fit_blend_to
from training.datasets.catalog import open_dataset
from training.datasets.entry import Split
from training.datasets.preparing import Progress
from training.epochs import read_epochs
from training.evaluate import CACHE, Evaluation, evaluate, evaluate_external
from training.export import OUT_OF_FOLD
from training.fairness import FairnessReport, judge_fairness
from training.learning_curve import read_curve
from training.out_of_fold import OUT_OF_FOLD_FILE, OutOfFold
from training.plots import learning_curve, plot_evaluation, save, training_curves
from training.remedies import Price, trade_off
from training.served import fairness_input

PLOTS_FOLDER = "plots"  # of the run: every figure, as PNG and SVG
FIGURES_FOLDER = "figures"  # of the release: those on the card, as PNG

Thresholds = Mapping[Superclass, float]


@dataclass(frozen=True, slots=True, eq=False)
class ReleaseAssessment:
    """folder: of the release, whose card is written. plots: folder of all figures, as PNG and SVG. evaluations: on the
    validation split and on other sources, by their name in the card. fairness: None, and no prices, for a run without
    cross-validation or a data set that knows no ages. figures: every macro-AUC and fairness ratio of the card, by a
    name for `training.tracking.TrackedRun.figures`."""

    folder: Path
    plots: Path
    evaluations: Mapping[str, Evaluation]
    fairness: FairnessReport | None
    prices: tuple[Price, ...]
    figures: Mapping[str, float]


def assess_release(
    folder: Path,
    run: Path,
    data_folder: Path,
    *,
    kind: str = "ptbxl",
    external: Mapping[str, Path] | None = None,
    curve: Path | None = None,
    plots: Path | None = None,
    cache: Path = CACHE,
    workers: int = 0,
    on_stage: Callable[[str], None] | None = None,
    on_prepared: Progress | None = None,
) -> ReleaseAssessment:
    """Assess the release in `folder`, exported from the finished run in `run`, and complete its card.

    kind: of the data set in `data_folder` that the run was trained on. external: kind of another data set -> its
    folder. curve: a file of points that `training.learning_curve.curve_json` made. plots: default `<run>/plots`.
    workers: processes that prepare beside this one. The callbacks are for progress: the stage that begins; recordings
    prepared, or measured, of all.

    Fairness is judged, and calibration told, by the predictions of cross-validation. Raises FileNotFoundError when
    `run` holds no log of epochs or `data_folder` is no folder of this kind, ModelInvalid, ModelUnavailable,
    PermissionError for an external data set that models are trained on, ValueError when recordings allow no AUC.
    """
    stage = on_stage or (lambda _: None)
    drawn = plots or run / PLOTS_FOLDER
    stage("validation")
    scored = [evaluate(folder, data_folder, kind=kind, cache=cache, workers=workers, on_prepared=on_prepared)]
    for other, place in (external or {}).items():
        stage(f"external check on {other}")
        entries = open_dataset(other, place).external_entries()
        scored.append(evaluate_external(folder, entries, other, cache=cache, workers=workers, on_prepared=on_prepared))
    found = OutOfFold.load(run / OUT_OF_FOLD_FILE) if (run / OUT_OF_FOLD_FILE).is_file() else None
    fairness: FairnessReport | None = None
    prices: tuple[Price, ...] = ()
    if found is not None:
        add_calibration(folder, fit_blend_to(found).calibration)
        stage("fairness")
        fairness, prices = _judge(folder, found, kind, data_folder, on_prepared)
    stage("figures")
    own, *others = scored
    thresholds = _thresholds(folder)
    written = dict(_draw(run, drawn, thresholds, own, found, curve))
    add_figures(folder, _copied(written, folder / FIGURES_FOLDER))
    for each in others:  # in the folder of plots only
        plot_evaluation(each.labels, each.probabilities, thresholds, each.name, drawn, each.patients)
    return ReleaseAssessment(
        folder, drawn, {each.name: each for each in scored}, fairness, prices, _figures(folder, fairness)
    )


def _thresholds(folder: Path) -> Thresholds:
    thresholds = read_card(folder)["thresholds"]
    return {c: thresholds[c] for c in Superclass}


def _judge(
    folder: Path, found: OutOfFold, kind: str, data_folder: Path, on_read: Progress | None
) -> tuple[FairnessReport | None, tuple[Price, ...]]:
    """By the rules that are shipped; a hospital's own would give another answer."""
    entries = open_dataset(kind, data_folder).entries(Split.TRAIN)
    if all(e.age is None for e in entries):
        return None, ()
    given, serve = fairness_input(
        entries, found.recording_ids.tolist(), found.probabilities, _thresholds(folder), load_policy(), on_read=on_read
    )
    report, prices = judge_fairness(given), trade_off(given, serve)
    add_fairness(folder, report, prices)
    return report, prices


def _draw(
    run: Path,
    to: Path,
    thresholds: Thresholds,
    own: Evaluation,
    found: OutOfFold | None,
    curve: Path | None,
) -> Iterator[tuple[Path, str]]:
    """Every file with what it shows."""
    if curve is not None:
        yield from ((path, "learning curve") for path in save(learning_curve(read_curve(curve)), to, "learning-curve"))
    epochs = training_curves(read_epochs(run))
    yield from ((path, "training of the signal's branch") for path in save(epochs, to, "training"))
    if found is not None:
        title = OUT_OF_FOLD
        yield from plot_evaluation(found.labels, found.probabilities, thresholds, title, to, found.patient_ids).items()
    yield from plot_evaluation(own.labels, own.probabilities, thresholds, own.name, to, own.patients).items()


def _copied(written: Mapping[Path, str], to: Path) -> dict[Path, str]:
    """The PNG files, beside the model: a repository should not grow by drawings that say the same."""
    to.mkdir(exist_ok=True)
    return {
        Path(shutil.copyfile(path, to / path.name)): shown for path, shown in written.items() if path.suffix == ".png"
    }


def _figures(folder: Path, fairness: FairnessReport | None) -> dict[str, float]:
    scores = {f"{name}.macro_auc": found["macro_auc"] for name, found in read_card(folder)["metrics"].items()}
    ratios = {} if fairness is None else {"fairness.by_sex": fairness.sex.parity_ratio,
                                          "fairness.by_age": fairness.age.predicted_to_true_ratio}  # fmt: skip
    return {name: each["value"] for name, each in scores.items() if each is not None} | {
        name: each.value for name, each in ratios.items() if each is not None
    }
