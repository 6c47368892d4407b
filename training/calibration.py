"""Calibration per class: the logit is divided by a temperature and moved by a bias (Platt 1999; Guo et al., ICML 2017).

Both keep the order within a class, so that no AUC changes; and both are numbers that go into the exported graph:

    calibrated logit = logit / temperature + bias

A class keeps its logits as they are unless the change lowers the log loss of recordings that it was not fitted on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from inference.labels import Superclass

FOLDS = 5
SEED = 0

# Beyond these a class is as good as separated, and its few recordings say nothing of its calibration.
TEMPERATURES = (0.2, 5.0)
BIASES = (-5.0, 5.0)

# A smaller gain in mean log loss is within what the choice of the folds brings.
LEAST_GAIN = 1e-4

Column = NDArray[np.float64]  # (recordings,)
Parameters = tuple[float, float]  # temperature, bias

AS_IT_IS: Parameters = (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """temperature, bias: one per superclass, in the order of `Superclass`. log_loss, before: the mean over recordings
    that were held out of the fit, with the change and without; None for a class without both kinds."""

    temperature: tuple[float, ...]
    bias: tuple[float, ...]
    log_loss: tuple[float | None, ...]
    before: tuple[float | None, ...]

    def apply(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated logits, (n, 5) as given."""
        return np.asarray(logits / np.array(self.temperature) + np.array(self.bias), np.float64)

    def to_json(self) -> dict[str, Any]:
        """Temperature, bias and log losses by superclass."""
        columns = asdict(self)
        return {c.value: {name: values[i] for name, values in columns.items()} for i, c in enumerate(Superclass)}

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, Any]]) -> "Calibration":
        """What `to_json` gave."""
        columns = ("temperature", "bias", "log_loss", "before")
        return cls(*(tuple(value[c][name] for c in Superclass) for name in columns))


def fit_temperature(
    labels: NDArray[np.floating], logits: NDArray[np.floating], patients: Sequence[str] | None = None
) -> Calibration:
    """Fit temperature and bias of each class, or the temperature alone, or neither: what has the lowest log loss in
    5-fold cross-validation within the recordings.

    labels: (n, 5) of 0, 1 and NaN for unknown. logits: (n, 5), of recordings the model was not trained on. patients:
    one per recording, never parted by the folds; None when each recording is of another.
    """
    folds = _folds(len(labels), patients)
    fitted = [
        _calibrate(labels[:, i].astype(np.float64), logits[:, i].astype(np.float64), folds)
        for i in range(len(Superclass))
    ]
    parameters, losses, before = zip(*fitted, strict=True)
    temperature, bias = zip(*parameters, strict=True)
    return Calibration(temperature, bias, losses, before)


def log_loss(labels: Column, logits: Column) -> float:
    """Mean negative log likelihood."""
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def _calibrate(truth: Column, logits: Column, folds: NDArray[np.intp]) -> tuple[Parameters, float | None, float | None]:
    known = ~np.isnan(truth)
    truth, logits, folds = truth[known], logits[known], folds[known]
    if not _both_kinds_everywhere(truth, folds):
        return AS_IT_IS, None, None
    before = log_loss(truth, logits)
    held_out = {fit: _held_out_loss(fit, truth, logits, folds) for fit in (_fit_temperature, _fit_both)}
    best = min(held_out, key=lambda fit: held_out[fit])
    if held_out[best] > before - LEAST_GAIN:
        return AS_IT_IS, before, before
    return best(truth, logits), held_out[best], before


def _both_kinds_everywhere(truth: Column, folds: NDArray[np.intp]) -> bool:
    """Whether the rest has positives and negatives, whichever fold is held out."""
    return all(0 < truth[folds != fold].sum() < (folds != fold).sum() for fold in range(FOLDS))


def _held_out_loss(
    fit: Callable[[Column, Column], Parameters], truth: Column, logits: Column, folds: NDArray[np.intp]
) -> float:
    calibrated = np.empty_like(logits)
    for fold in range(FOLDS):
        temperature, bias = fit(truth[folds != fold], logits[folds != fold])
        calibrated[folds == fold] = logits[folds == fold] / temperature + bias
    return log_loss(truth, calibrated)


def _fit_temperature(truth: Column, logits: Column) -> Parameters:
    return _fit(truth, logits, biases=(0.0, 0.0))


def _fit_both(truth: Column, logits: Column) -> Parameters:
    return _fit(truth, logits, biases=BIASES)


def _fit(truth: Column, logits: Column, biases: tuple[float, float]) -> Parameters:
    """In 1 / temperature and bias the loss is convex."""

    def loss(values: Column) -> tuple[float, Column]:
        scaled = values[0] * logits + values[1]
        error = expit(scaled) - truth
        return log_loss(truth, scaled), np.array([np.mean(error * logits), np.mean(error)])

    lowest, highest = TEMPERATURES
    found = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(1 / highest, 1 / lowest), biases])
    return float(1 / found.x[0]), float(found.x[1])


def _folds(recordings: int, patients: Sequence[str] | None) -> NDArray[np.intp]:
    """A fold for each recording, the same for all of a patient."""
    names = np.arange(recordings).astype(str) if patients is None else np.asarray(patients, dtype=str)
    _, owner = np.unique(names, return_inverse=True)
    order = np.random.default_rng(SEED).permutation(int(owner.max()) + 1) if recordings else owner
    return np.asarray(order[owner] % FOLDS, np.intp)
