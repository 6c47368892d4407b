"""Random changes that leave the diagnosis as it is, one draw per recording and epoch.

All randomness comes from the generator that is passed in, so that a seed and an epoch decide on every value.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inference.prepare import MODEL_SAMPLING_RATE
from training.config import TrainingConfig

WANDER_FREQUENCIES = (0.05, 0.5)  # Hz: breathing and moving electrodes


def augment_signal(signal: Tensor, config: TrainingConfig, rng: torch.Generator) -> Tensor:
    """A shorter piece of each recording: one length for the batch, a place of its own for each.

    signal: (batch, 12, samples), z-scored per lead. Gives (batch, 12, fewer samples); the argument is left as it is.
    """
    piece = _crop(signal, config, rng)
    leads = (piece.shape[0], piece.shape[1], 1)
    piece = piece * (1 + config.amplitude_jitter * _uniform(leads, -1, 1, rng))
    piece = piece + _wander(leads, piece.shape[2], config.wander, rng)
    spread = config.noise * _uniform(leads, 0, 1, rng)
    piece = piece + spread * torch.randn(piece.shape, generator=rng)
    return piece * (_uniform(leads, 0, 1, rng) >= config.lead_dropout)


def augment_amplitudes(amplitudes: Tensor, config: TrainingConfig, rng: torch.Generator) -> Tensor:
    """Each a little larger or smaller. amplitudes: (batch, 12); the argument is left as it is."""
    return amplitudes * (1 + config.amplitude_error * _uniform(amplitudes.shape, -1, 1, rng))


def hide_features(
    features: Tensor, demographics: Sequence[int], config: TrainingConfig, rng: torch.Generator
) -> Tensor:
    """Makes some features unknown (NaN): each by itself, and the demographics of a recording all at once.

    features: (batch, n). demographics: their columns. The argument is left as it is.
    """
    hidden = _uniform(features.shape, 0, 1, rng) < config.feature_dropout
    anonymous = _uniform((len(features), 1), 0, 1, rng) < config.demographics_dropout
    columns = torch.zeros(features.shape[1], dtype=torch.bool)
    columns[list(demographics)] = True
    return features.masked_fill(hidden | (anonymous & columns), math.nan)


def _crop(signal: Tensor, config: TrainingConfig, rng: torch.Generator) -> Tensor:
    shortest, longest = (round(s * MODEL_SAMPLING_RATE) for s in (config.shortest_crop, config.longest_crop))
    length = int(torch.randint(shortest, longest + 1, (), generator=rng))
    starts = torch.randint(0, signal.shape[2] - length + 1, (len(signal),), generator=rng)
    return torch.stack([s[:, start : start + length] for s, start in zip(signal, starts.tolist(), strict=True)])


def _wander(leads: Sequence[int], samples: int, amplitude: float, rng: torch.Generator) -> Tensor:
    """One slow sine a lead."""
    seconds = torch.arange(samples) / MODEL_SAMPLING_RATE
    phase = 2 * math.pi * (_uniform(leads, *WANDER_FREQUENCIES, rng) * seconds + _uniform(leads, 0, 1, rng))
    return amplitude * _uniform(leads, 0, 1, rng) * torch.sin(phase)


def _uniform(shape: Sequence[int], low: float, high: float, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(tuple(shape), generator=rng)
