import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from inference.artifact import find_model, load_artifact
from inference.classifier import onnx_runner
from inference.features import FEATURE_NAMES
from inference.network import EcgNetwork, NetworkConfig, load_network
from inference.prediction import ModelStatus
from training.datasets.entry import Split
from training.datasets.prepared import load_prepared
from training.datasets.ptbxl import read_index
from training.export import MAX_PARITY, Exported, ParityBroken, check_parity, folded


def test_a_released_run_is_a_candidate_that_the_pointer_finds(exported: Exported) -> None:
    models = exported.folder.parents[1]
    assert exported.folder == models / "tiny" / "0.1.0"
    assert find_model(models) == exported.folder
    artifact = load_artifact(exported.folder)
    assert artifact.info().status is ModelStatus.CANDIDATE
    assert artifact.card["data"]["splits"]["train"]["recordings"] == 12
    assert set(artifact.card["metrics"]) >= {"val", "out-of-fold"}
    assert artifact.card["metrics"]["out-of-fold"]["recordings"] == 12


def test_onnx_and_torch_agree_on_real_recordings_for_every_batch_size(
    exported: Exported, small_ptbxl: Path, cache: Path
) -> None:
    data = load_prepared(read_index(small_ptbxl, Split.VAL), cache)
    run, network = onnx_runner(exported.folder / "model.onnx"), load_network(exported.folder / "model.pt")
    for size in (1, 3, 8):
        signal, features = np.array(data.signals[:size]), data.features[:size]
        with torch.inference_mode():
            expected = torch.sigmoid(network(torch.from_numpy(signal), torch.from_numpy(features)))
        np.testing.assert_allclose(run(signal, features), expected.numpy(), atol=MAX_PARITY)


def test_a_graph_of_other_weights_is_not_released(exported: Exported, small_ptbxl: Path, cache: Path) -> None:
    data = load_prepared(read_index(small_ptbxl, Split.VAL), cache)
    network = load_network(exported.folder / "model.pt")
    with torch.no_grad():
        network.perceptron.head.bias.add_(0.1)
    with pytest.raises(ParityBroken, match="differ"):
        check_parity(network, exported.folder / "model.onnx", data)


def test_the_graph_holds_no_normalisation_of_its_own(exported: Exported) -> None:
    graph = onnx.load(exported.folder / "model.onnx").graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_what_is_folded_calculates_the_same_and_the_network_stays_as_it_was() -> None:
    torch.manual_seed(0)
    network = EcgNetwork(NetworkConfig(len(FEATURE_NAMES))).eval()
    norm = network.signal.trunk[0]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    with torch.no_grad():
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            assert values is not None
            values.uniform_(0.5, 2.0)
    inputs = torch.randn(2, 12, 5000), torch.randn(2, len(FEATURE_NAMES))
    before = network(*inputs)
    torch.testing.assert_close(folded(network)(*inputs), before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(*inputs), before)


def test_each_file_is_small_enough_for_a_repository(exported: Exported) -> None:
    assert max(path.stat().st_size for path in exported.folder.iterdir()) < 40e6


def test_the_readme_tells_what_the_card_says(exported: Exported) -> None:
    card = json.loads((exported.folder / "card.json").read_text())
    text = (exported.folder / "README.md").read_text()
    assert "Candidate" in text
    assert card["files"]["model.onnx"] in text
    assert f"{card['metrics']['val']['macro_auc']['value']:.3f}" in text


def test_nothing_in_the_graph_tells_where_it_was_exported(exported: Exported) -> None:
    content = (exported.folder / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"stack_trace" not in content
