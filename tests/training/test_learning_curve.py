import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.conftest import TINY
from training.bootstrap import Interval
from training.datasets.entry import Split
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.ptbxl import read_index
from training.learning_curve import LearningPoint, curve_json, learning_curve, read_curve
from training.train import training_entries

ONCE = replace(TINY, epochs=1)


@pytest.fixture(scope="module")
def train(small_ptbxl: Path, cache: Path) -> Prepared:
    return load_prepared(training_entries(small_ptbxl), cache)


@pytest.fixture(scope="module")
def val(small_ptbxl: Path, cache: Path) -> Prepared:
    return load_prepared(read_index(small_ptbxl, Split.VAL), cache)


def test_each_point_is_a_network_trained_on_more_recordings(train: Prepared, val: Prepared, tmp_path: Path) -> None:
    seen: list[LearningPoint] = []
    points = learning_curve(ONCE, train, val, tmp_path, shares=(0.5, 1.0), on_point=seen.append)
    assert tuple(seen) == points
    assert [point.recordings for point in points] == [6, 12]
    assert set(points[0].macro_auc) == {"signal", "perceptron", "trees", "whole model"}


def test_the_branches_that_read_features_can_be_drawn_alone(train: Prepared, val: Prepared, tmp_path: Path) -> None:
    points = learning_curve(ONCE, train, val, tmp_path, shares=(1.0,), signal=False)
    assert set(points[0].macro_auc) == {"perceptron", "trees"}
    assert not list(tmp_path.iterdir())


def test_a_curve_that_was_written_is_read_again(tmp_path: Path) -> None:
    points = (LearningPoint(0.5, 6, {"trees": Interval(0.9, 0.8, 0.95), "signal": None}),)
    file = tmp_path / "curve.json"
    file.write_text(curve_json(points))
    assert read_curve(file) == points
    file.write_text('{"points": 3}')
    with pytest.raises(ValueError, match="holds no learning curve"):
        read_curve(file)


def test_a_curve_is_kept_as_json(train: Prepared, val: Prepared, tmp_path: Path) -> None:
    points = learning_curve(ONCE, train, val, tmp_path, shares=(1.0,), signal=False)
    (point,) = json.loads(curve_json(points))
    assert point["share"] == 1.0
    assert set(point["macro_auc"]["trees"]) == {"value", "low", "high"}
