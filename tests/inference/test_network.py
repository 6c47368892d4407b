import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: only needed to train and for the torch back end")

import torch

from inference.boosted_trees import TreeShape
from inference.features import FEATURE_NAMES
from inference.network import (
    AMPLITUDE_COLUMNS,
    AMPLITUDE_LIMITS,
    BRANCHES,
    UNKNOWN_AMPLITUDE,
    EcgNetwork,
    FeatureStatistics,
    NetworkConfig,
    Probabilities,
    load_network,
    parameter_count,
)
from inference.recording import LEADS

FEATURES = len(FEATURE_NAMES)


@pytest.fixture(scope="module")
def network() -> EcgNetwork:
    torch.manual_seed(0)
    made = EcgNetwork(NetworkConfig(FEATURES)).eval()
    made.perceptron.set_statistics(
        FeatureStatistics(
            median=np.full(FEATURES, 2, np.float32),
            mean=np.full(FEATURES, 1, np.float32),
            std=np.full(FEATURES, 0.5, np.float32),
        )
    )
    return made


def _inputs(batch: int = 2, samples: int = 5000) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(batch, 12, samples, generator=rng), torch.randn(batch, FEATURES, generator=rng)


def test_it_has_the_size_of_a_resnet18(network: EcgNetwork) -> None:
    assert 8.6e6 < parameter_count(network) < 8.9e6


def test_each_recording_gets_one_probability_per_class(network: EcgNetwork) -> None:
    found = Probabilities(network)(*_inputs(3))
    assert found.shape == (3, 5)
    assert ((found > 0) & (found < 1)).all()


def test_any_length_can_be_read(network: EcgNetwork) -> None:
    for samples in (1250, 1777, 5000):
        assert torch.isfinite(network(*_inputs(samples=samples))).all()


def test_the_signals_branch_sees_how_large_a_lead_is(network: EcgNetwork) -> None:
    signal, _ = _inputs()

    def logits(amplitude: float) -> torch.Tensor:
        amplitudes = torch.ones(2, 12)
        amplitudes[:, 3] = amplitude
        found: torch.Tensor = network.signal(signal, amplitudes)
        return found

    assert not torch.allclose(logits(1.0), logits(2.0))
    torch.testing.assert_close(logits(math.nan), logits(UNKNOWN_AMPLITUDE))
    torch.testing.assert_close(logits(999.0), logits(AMPLITUDE_LIMITS[1]))


def test_amplitudes_are_the_heights_of_qrs_in_the_order_of_the_leads() -> None:
    assert [FEATURE_NAMES[column] for column in AMPLITUDE_COLUMNS] == [f"{lead}_qrs_ptp" for lead in LEADS]


def test_an_unknown_feature_is_told_from_one_that_has_the_median(network: EcgNetwork) -> None:
    signal, features = _inputs()
    median, unknown = features.clone(), features.clone()
    median[:, 0] = 2
    unknown[:, 0] = math.nan
    assert torch.isfinite(network(signal, unknown)).all()
    assert not torch.allclose(network(signal, median), network(signal, unknown))


def test_an_absurd_feature_counts_no_more_than_the_limit(network: EcgNetwork) -> None:
    signal, features = _inputs()
    large, huge = features.clone(), features.clone()
    large[:, 0], huge[:, 0] = 1 + 5 * 0.5, 1e9
    torch.testing.assert_close(network(signal, large), network(signal, huge))


def test_signal_and_features_both_count(network: EcgNetwork) -> None:
    signal, features = _inputs()
    before = network(signal, features)
    assert not torch.allclose(before, network(signal.flip(2), features))
    assert not torch.allclose(before, network(signal, features + 1))


def test_the_blend_weighs_the_branches_then_calibrates_each_class() -> None:
    torch.manual_seed(0)
    network = EcgNetwork(NetworkConfig(FEATURES)).eval()
    network.blend.weights.copy_(torch.tensor([0.2, 0.3, 0.5]))
    network.blend.scale.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    network.blend.shift.copy_(torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4]))
    branches = network.branches(*_inputs())
    assert branches.shape == (2, len(BRANCHES), 5)
    weighted = 0.2 * branches[:, 0] + 0.3 * branches[:, 1] + 0.5 * branches[:, 2]
    torch.testing.assert_close(network(*_inputs()), network.blend.scale * weighted + network.blend.shift)


def test_a_network_comes_back_from_its_weights_whatever_its_shape(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = EcgNetwork(NetworkConfig(FEATURES, units=24, trees=TreeShape(5, 7, 3))).eval()
    made.trees.leaf.normal_()
    made.trees.threshold.normal_()
    torch.save(made.state_dict(), tmp_path / "model.pt")
    loaded = load_network(tmp_path / "model.pt")
    assert (loaded.config.features, loaded.config.units, loaded.config.trees) == (FEATURES, 24, TreeShape(5, 7, 3))
    torch.testing.assert_close(loaded(*_inputs()), made(*_inputs()))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"features.mean": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(RuntimeError, match="another network"):
        load_network(tmp_path / "model.pt")


def test_a_recording_is_judged_independently_of_its_batch(network: EcgNetwork) -> None:
    signal, features = _inputs(4)
    torch.testing.assert_close(network(signal, features)[2:3], network(signal[2:3], features[2:3]))


def test_serving_does_not_import_torch() -> None:
    code = "import sys, inference.artifact, inference.classifier; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
