import math

import torch

from training.augment import augment_amplitudes, augment_signal, hide_features
from training.config import TrainingConfig

UNCHANGED = TrainingConfig(
    amplitude_jitter=0, lead_dropout=0, wander=0, noise=0, feature_dropout=0, demographics_dropout=0
)


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _ramp(batch: int) -> torch.Tensor:
    """Every sample tells its own position."""
    return torch.arange(5000.0).expand(batch, 12, 5000)


def test_without_changes_a_piece_is_cut_out_as_it_is() -> None:
    piece = augment_signal(_ramp(16), UNCHANGED, _rng())
    assert 1250 <= piece.shape[2] <= 2500
    assert torch.equal(piece.diff(dim=2), torch.ones_like(piece)[:, :, 1:])
    assert len(set(piece[:, 0, 0].tolist())) > 1, "each recording is cut at a place of its own"


def test_a_crop_of_the_whole_length_is_possible() -> None:
    config = TrainingConfig(shortest_crop=10, longest_crop=10, amplitude_jitter=0, lead_dropout=0, wander=0, noise=0)
    assert torch.equal(augment_signal(_ramp(2), config, _rng()), _ramp(2))


def test_the_same_generator_state_gives_the_same_pieces_and_another_one_does_not() -> None:
    config = TrainingConfig()
    signal = torch.randn(4, 12, 5000, generator=_rng())
    first, again, other = (augment_signal(signal, config, _rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_dropped_leads_are_silent_and_the_others_are_not() -> None:
    config = TrainingConfig(lead_dropout=0.5)
    piece = augment_signal(torch.randn(64, 12, 5000, generator=_rng()), config, _rng())
    silent = (piece == 0).all(dim=2).float().mean()
    assert 0.4 < silent < 0.6


def test_the_argument_is_left_as_it_is() -> None:
    signal = torch.zeros(2, 12, 5000)
    augment_signal(signal, TrainingConfig(), _rng())
    assert not signal.any()


def test_demographics_of_a_recording_disappear_together() -> None:
    config = TrainingConfig(feature_dropout=0, demographics_dropout=0.5)
    hidden = torch.isnan(hide_features(torch.ones(400, 5), [1, 4], config, _rng()))
    assert torch.equal(hidden[:, 1], hidden[:, 4])
    assert not hidden[:, [0, 2, 3]].any()
    assert 0.4 < hidden[:, 1].float().mean() < 0.6


def test_features_disappear_one_by_one_and_unknown_ones_stay_unknown() -> None:
    config = TrainingConfig(feature_dropout=0.2, demographics_dropout=0)
    features = torch.ones(400, 5)
    features[:, 0] = math.nan
    hidden = torch.isnan(hide_features(features, [4], config, _rng()))
    assert hidden[:, 0].all()
    assert 0.15 < hidden[:, 1:].float().mean() < 0.25


def test_amplitudes_err_by_as_much_as_the_recipe_says_and_unknown_ones_stay_unknown() -> None:
    amplitudes = torch.full((50, 12), 2.0)
    amplitudes[3, 5] = math.nan
    found = augment_amplitudes(amplitudes, TrainingConfig(amplitude_error=0.1), _rng())
    known = found[~found.isnan()]
    assert int(found.isnan().sum()) == 1
    assert 1.8 <= float(known.min()) < 1.85 < 2.15 < float(known.max()) <= 2.2
    assert torch.equal(augment_amplitudes(amplitudes[:3], TrainingConfig(amplitude_error=0), _rng()), amplitudes[:3])
