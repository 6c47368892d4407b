import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from inference.artifact import find_model, load_artifact
from inference.classifier import onnx_runner
from tests.conftest import ROOT
from training.datasets.entry import Split
from training.datasets.prepared import Prepared, load_prepared
from training.datasets.ptbxl import read_index
from training.export import Exported
from training.quantize import calibration_rows, compare, quantize, release_int8, trunk_nodes

Array = NDArray[np.float32]

RELEASED = find_model(ROOT / "models")


@pytest.fixture(scope="module")
def train(small_ptbxl: Path, cache: Path) -> Prepared:
    return load_prepared(read_index(small_ptbxl, Split.TRAIN), cache)


@pytest.fixture(scope="module")
def quantized(train: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released fp32 graph, quantized again with a few recordings."""
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    quantize(RELEASED / "model.onnx", path, train, calibration_rows(train))
    return path


@pytest.fixture
def model(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return shutil.copytree(exported.folder, tmp_path / "model")


def test_it_is_a_quarter_of_the_size_and_says_nearly_the_same(quantized: Path, small_ptbxl: Path, cache: Path) -> None:
    assert quantized.stat().st_size < 0.3 * (RELEASED / "model.onnx").stat().st_size
    val = load_prepared(read_index(small_ptbxl, Split.VAL), cache)
    signal, features = np.array(val.signals), val.features
    by_fp32 = onnx_runner(RELEASED / "model.onnx")(signal, features)
    np.testing.assert_allclose(onnx_runner(quantized)(signal, features), by_fp32, atol=0.1)


def test_the_same_recordings_give_the_same_file(quantized: Path, train: Prepared, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    quantize(RELEASED / "model.onnx", again, train, calibration_rows(train))
    assert again.read_bytes() == quantized.read_bytes()


@pytest.mark.parametrize("path", [RELEASED / "model.int8.onnx", None], ids=["released", "made now"])
def test_no_sum_of_two_products_can_be_clipped_by_sixteen_bits(path: Path | None, quantized: Path) -> None:
    graph = onnx.load(path or quantized).graph
    weights = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    kernels = [values for values in weights if values.dtype == np.int8 and values.ndim == 4]
    assert len(kernels) == 21
    assert max(np.abs(values.astype(int)).max() for values in kernels) <= 64


def test_features_and_heads_stay_in_fp32(quantized: Path) -> None:
    graph = onnx.load(quantized).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    heads = [node for node in graph.node if node.op_type == "Gemm"]
    assert len(heads) == 3
    assert "DequantizeLinear" not in {makers.get(name) for node in heads for name in node.input}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert {makers.get(name) for node in convolutions for name in node.input} == {"DequantizeLinear"}


def test_the_trunk_ends_where_time_is_pooled() -> None:
    graph = onnx.load(RELEASED / "model.onnx").graph
    kinds = {node.name: node.op_type for node in graph.node}
    found = {kinds[name] for name in trunk_nodes(graph)}
    amplitudes = {"Transpose", "GatherND", "IsNaN", "Where", "Clip", "Mul"}
    assert found == {"Unsqueeze", "Conv", "Relu", "MaxPool", "AveragePool", "Add"} | amplitudes


def test_differences_and_changed_decisions_are_counted(train: Prepared) -> None:
    def fp32(signal: Array, features: Array) -> Array:
        return np.full((len(signal), 5), 0.29, np.float32)

    def int8(signal: Array, features: Array) -> Array:
        found = fp32(signal, features)
        found[:, 1] += 0.02
        return found

    found = compare(fp32, int8, train, np.full(5, 0.3, np.float32))
    assert found.recordings == found.decisions_changed == len(train)
    assert found.largest_difference == pytest.approx(0.02)
    assert found.mean_difference == pytest.approx(0.004)
    assert found.auc_loss == 0


def test_an_int8_graph_that_is_good_enough_is_released_with_its_figures(
    model: Path, small_ptbxl: Path, cache: Path
) -> None:
    before = {file: (model / file).read_bytes() for file in ("model.onnx", "model.pt")}
    made = release_int8(model, small_ptbxl, cache=cache, max_auc_loss=1)
    assert made.released
    card = load_artifact(model).card
    content = (model / "model.int8.onnx").read_bytes()
    assert card["files"]["model.int8.onnx"] == hashlib.sha256(content).hexdigest()
    assert card["int8"]["calibration"] == {"split": "train", "recordings": 12}
    assert card["int8"]["val"]["recordings"] == made.comparison.recordings == 8
    assert "In 8-bit integers" in (model / "README.md").read_text()
    assert {file: (model / file).read_bytes() for file in before} == before


def test_one_that_loses_too_much_is_not_and_takes_the_previous_one_away(
    model: Path, small_ptbxl: Path, cache: Path
) -> None:
    release_int8(model, small_ptbxl, cache=cache, max_auc_loss=1)
    assert not release_int8(model, small_ptbxl, cache=cache, max_auc_loss=-1).released
    assert load_artifact(model).graphs == ("model.onnx",)
    assert not (model / "model.int8.onnx").exists()
    assert "8-bit" not in (model / "README.md").read_text()


def test_the_released_int8_was_compared_on_the_whole_validation_fold_and_lost_almost_nothing() -> None:
    card = json.loads((RELEASED / "card.json").read_text())
    val = card["int8"]["val"]
    assert val["recordings"] == card["metrics"]["val"]["recordings"]
    assert val["fp32_macro_auc"] == card["metrics"]["val"]["macro_auc"]["value"]
    assert val["fp32_macro_auc"] - val["int8_macro_auc"] < 0.003
