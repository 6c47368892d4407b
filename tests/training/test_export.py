import json
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.artifact import find_model, load_artifact
from inference.classifier import onnx_runner
from inference.network import load_network
from inference.prediction import ModelStatus
from training.datasets.entry import Split
from training.datasets.prepared import load_prepared
from training.datasets.ptbxl import read_index
from training.export import MAX_PARITY, Exported, ParityBroken, check_parity


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
