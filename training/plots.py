"""Figures of a training run and of an evaluation, as PNG and SVG. Each can be read by itself: it says what, on how many
recordings, and in which units.

Figures are made without pyplot, whose global state would not survive two threads.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from inference.labels import SUPERCLASS_NAMES, Superclass
from training.bootstrap import Statistic, bootstrap, percentiles, resampled, wilson
from training.epochs import Epoch
from training.ranking import Curve, Probability, Truth, auc, average_precision, precision_recall, rank, roc_at
from training.reliability import reliability_bins
from training.scores import COLUMNS, GOAL, Labels, Probabilities

if TYPE_CHECKING:  # a figure is drawn without torch
    from training.learning_curve import LearningPoint

FORMATS = ("png", "svg")
DPI = 80  # all figures of a release together stay below 1 MB; the SVG shows every detail

ROC_POINTS = np.linspace(0, 1, 101)
CHANCE: dict[str, Any] = {"color": "0.6", "linewidth": 1, "linestyle": "--"}
BAND: dict[str, Any] = {"alpha": 0.2, "linewidth": 0}

Draw = Callable[[Axes, Truth, Probability], None]


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, ...]:
    """Write a figure as `<name>.png` and `<name>.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    paths = tuple(folder / f"{name}.{kind}" for kind in FORMATS)
    for path in paths:
        # Without a date the same figures give the same picture.
        figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def training_curves(epochs: Sequence[Epoch]) -> Figure:
    """Training loss and validation macro-AUC by epoch, the best marked. Raises ValueError without epochs."""
    best = max(epochs, key=lambda e: e.macro_auc)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [e.number + 1 for e in epochs]
    left.plot(numbers, [e.loss for e in epochs], marker="o", markersize=3)
    left.set(title="Training loss", xlabel="epoch", ylabel="mean loss of a recording", ylim=(0, None))
    right.plot(numbers, [e.macro_auc for e in epochs], marker="o", markersize=3)
    right.axvline(best.number + 1, **CHANCE)
    right.set(
        title=f"Validation: best {best.macro_auc:.3f} in epoch {best.number + 1}", xlabel="epoch", ylabel="macro-AUC"
    )
    return figure


def learning_curve(points: Sequence["LearningPoint"]) -> Figure:
    """Macro-AUC of each branch against the number of training recordings (logarithmic), with intervals and the goal."""
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    counts = [p.recordings for p in points]
    for branch in points[0].macro_auc:
        found = [(p.recordings, each) for p in points if (each := p.macro_auc[branch]) is not None]
        error = [[each.value - each.low for _, each in found], [each.high - each.value for _, each in found]]
        values = [each.value for _, each in found]
        axes.errorbar([count for count, _ in found], values, yerr=error, marker="o", capsize=3, label=branch)
    axes.axhline(GOAL, **CHANCE)
    axes.annotate(f"goal {GOAL:.2f}", (counts[0], GOAL), xytext=(0, 4), textcoords="offset points", color="0.4")
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.legend(loc="lower right", fontsize=8)
    axes.set(
        title="What more recordings bring (95 % intervals)",
        xlabel="training recordings",
        ylabel="macro-AUC of recordings held out",
    )
    return figure


def roc(labels: Labels, probabilities: Probabilities, title: str, patients: Sequence[str] | None = None) -> Figure:
    """ROC curve of each class with a 95 % band, bootstrapped over patients."""

    def draw(axes: Axes, truth: Truth, probability: Probability) -> None:
        ranking = rank(truth, probability)
        (curve,) = roc_at(ranking, np.ones((len(truth), 1)), ROC_POINTS)
        low, high = _band(lambda weights: roc_at(ranking, weights, ROC_POINTS), len(truth), patients)
        axes.fill_between(ROC_POINTS, low, high, **BAND)
        axes.plot(ROC_POINTS, curve, label=_legend("AUC", auc(truth, probability), len(truth), patients))
        axes.plot([0, 1], [0, 1], **CHANCE)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))

    return _by_class(labels, probabilities, f"ROC, {title}", draw)


def precision_and_recall(
    labels: Labels, probabilities: Probabilities, title: str, patients: Sequence[str] | None = None
) -> Figure:
    """Precision-recall curve of each class; the dashed line is what a guess reaches."""

    def draw(axes: Axes, truth: Truth, probability: Probability) -> None:
        recall, precision = precision_recall(rank(truth, probability))
        statistic = average_precision(truth, probability)
        axes.step(recall, precision, where="post", label=_legend("AUPRC", statistic, len(truth), patients))
        axes.axhline(float(np.nanmean(truth)), **CHANCE)
        axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))

    return _by_class(labels, probabilities, f"Precision and recall, {title}", draw)


def reliability(labels: Labels, probabilities: Probabilities, title: str) -> Figure:
    """Predicted probability against observed share in ten bins of equal size, with 95 % Wilson intervals."""

    def draw(axes: Axes, truth: Truth, probability: Probability) -> None:
        bins = reliability_bins(truth, probability)
        observed = np.array([b.observed for b in bins])
        bounds = [wilson(b.positives, b.recordings) for b in bins]
        # Rounding may put a bound of the interval a hair beyond the share itself.
        error = [
            np.maximum(observed - [b.low for b in bounds], 0),
            np.maximum([b.high for b in bounds] - observed, 0),
        ]
        label = f"{len(bins)} bins of about {bins[0].recordings}"
        axes.errorbar([b.predicted for b in bins], observed, yerr=error, marker="o", capsize=2, label=label)
        axes.plot([0, 1], [0, 1], **CHANCE)
        axes.set(xlabel="mean predicted probability", ylabel="share of positives", xlim=(0, 1), ylim=(0, 1.01))

    return _by_class(labels, probabilities, f"Reliability, {title}", draw)


def confusion(
    labels: Labels, probabilities: Probabilities, thresholds: Mapping[Superclass, float], title: str
) -> Figure:
    """What each threshold decides, counted against the labels."""
    figure, panels = _panels(f"Confusion at the thresholds, {title}")
    for axes, (superclass, column) in zip(panels, COLUMNS.items(), strict=True):
        truth, decided = labels[:, column], probabilities[:, column] >= thresholds[superclass]
        counts = np.array([[int(((truth == t) & (decided == d)).sum()) for d in (0, 1)] for t in (0, 1)])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, cell in np.ndindex(2, 2):
            color = "white" if shares[row, cell] > 0.5 else "black"
            text = f"{counts[row, cell]}\n{shares[row, cell]:.0%}"
            axes.text(cell, row, text, ha="center", va="center", color=color)
        axes.set_xticks([0, 1], ["not decided", "decided"])
        axes.set_yticks([0, 1], ["absent", "present"])
        axes.set_title(f"{SUPERCLASS_NAMES[superclass]} (threshold {thresholds[superclass]:g})", fontsize=10)
        axes.set(xlabel="model", ylabel="label")
    return figure


def plot_evaluation(
    labels: Labels,
    probabilities: Probabilities,
    thresholds: Mapping[Superclass, float],
    title: str,
    folder: Path,
    patients: Sequence[str] | None = None,
) -> dict[Path, str]:
    """Write all figures of one set of recordings. title: such as `val`; it ends the files' names too.

    Gives each file with what it shows.
    """
    figures = {
        "roc": roc(labels, probabilities, title, patients),
        "precision-recall": precision_and_recall(labels, probabilities, title, patients),
        "reliability": reliability(labels, probabilities, title),
        "confusion": confusion(labels, probabilities, thresholds, title),
    }
    return {
        path: f"{name.replace('-', ' and ')}, {title}"
        for name, figure in figures.items()
        for path in save(figure, folder, f"{name}-{title}")
    }


def _by_class(labels: Labels, probabilities: Probabilities, title: str, draw: Draw) -> Figure:
    """One panel for each class; a class without both kinds says so instead of showing a curve."""
    figure, panels = _panels(title)
    for axes, (superclass, column) in zip(panels, COLUMNS.items(), strict=True):
        truth, probability = labels[:, column], probabilities[:, column]
        positives, known = int((truth == 1).sum()), int((~np.isnan(truth)).sum())
        axes.set_title(f"{SUPERCLASS_NAMES[superclass]}: {positives} positives of {known}", fontsize=10)
        if 0 < positives < known:
            draw(axes, truth, probability)
            axes.legend(loc="best", fontsize=8)
        else:
            axes.text(0.5, 0.5, "cannot be judged", ha="center", va="center")
    return figure


def _panels(title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(13, 8), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(2, 3)
    grid[1, 2].set_axis_off()
    return figure, list(grid.flat)[: len(Superclass)]


def _legend(name: str, statistic: Statistic, recordings: int, patients: Sequence[str] | None) -> str:
    found = bootstrap(statistic, recordings, patients)
    return f"{name} -" if found is None else f"{name} {found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _band(curve: Callable[[Curve], Curve], recordings: int, patients: Sequence[str] | None) -> tuple[Curve, Curve]:
    """Lower and upper bound of a curve at each of its points."""
    return percentiles(resampled(curve, recordings, patients))
