from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from inference.labels import Superclass
from training.bootstrap import Interval
from training.epochs import Epoch
from training.learning_curve import LearningPoint
from training.plots import (
    confusion,
    learning_curve,
    plot_evaluation,
    reliability,
    roc,
    save,
    training_curves,
)

THRESHOLDS = dict.fromkeys(Superclass, 0.5)
NEARLY = Interval(0.89, 0.86, 0.92)


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    labels = (rng.random((120, 5)) < 0.3).astype(np.float32)
    labels[::10, 1] = np.nan
    return labels, (0.4 * np.nan_to_num(labels) + 0.6 * rng.random((120, 5))).astype(np.float32)


def _texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))  # type: ignore[attr-defined]


def test_an_evaluation_gives_four_figures_as_pictures_and_as_drawings(
    sample: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    written = plot_evaluation(*sample, THRESHOLDS, "val", tmp_path / "figures")
    names = {f"{name}-val" for name in ("roc", "precision-recall", "reliability", "confusion")}
    assert {path.stem for path in written} == names
    for path in written:
        if path.suffix == ".png":
            assert imread(path).std() > 0, f"{path} is blank"
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_the_roc_figure_says_how_many_recordings_and_what_area_with_interval(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    said = _texts(roc(*sample, "val"))
    assert "ROC, val" in said
    assert f"Myocardial infarction: {int(np.nansum(sample[0][:, 1]))} positives of 108" in said
    assert "AUC 0." in said
    assert "sensitivity" in said


def test_a_class_without_both_kinds_says_so_instead_of_showing_a_curve(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = sample
    labels[:, 2] = 0
    assert "cannot be judged" in _texts(roc(labels, probabilities, "val"))
    assert "cannot be judged" in _texts(reliability(labels, probabilities, "val"))


def test_confusion_counts_every_known_label_once(sample: tuple[np.ndarray, np.ndarray]) -> None:
    figure = confusion(*sample, THRESHOLDS, "val")
    cells = [text.get_text() for text in figure.axes[1].texts]
    assert sum(int(cell.split("\n")[0]) for cell in cells) == 108


def test_training_curves_name_the_best_epoch() -> None:
    epochs = [Epoch(0, 0.7, 0.6, True), Epoch(1, 0.5, 0.9, True), Epoch(2, 0.4, 0.8, False)]
    assert "best 0.900 in epoch 2" in _texts(training_curves(epochs))


def test_a_learning_curve_shows_each_size_branch_and_the_goal() -> None:
    points = [
        LearningPoint(n / 1490, n, {"trees": Interval(a, a - 0.03, a + 0.02), "signal": None if n < 200 else NEARLY})
        for n, a in ((149, 0.8), (1490, 0.91))
    ]
    figure = learning_curve(points)
    figure.canvas.draw()
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["149", "1,490"]
    assert "goal 0.90" in _texts(figure)
    assert figure.axes[0].get_legend_handles_labels()[1] == ["trees", "signal"]


def test_the_same_figure_gives_the_same_picture(sample: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    first, second = (save(reliability(*sample, "val"), tmp_path / name, "figure")[0] for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
