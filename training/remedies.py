"""What could be done where the urgent rates of women and men lie too far apart, and what it costs.

- A shift for all moves every probability alike. It treats equal ECGs equally, and trades sensitivity for specificity.
- Reweighing (Kamiran and Calders, Knowl Inf Syst 33:1, 2012) weighs training recordings so that sex and urgency are
  independent in what the model learns from; the model is trained again and brings its own probabilities.
- A shift by sex gives the lower rate a push until the ratio holds. It makes two patients with the same ECG get two
  answers, which is not acceptable without a clinical decision that says so; it is shown as a yardstick for the price.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from inference.recording import Sex
from training.bootstrap import evaluate_once
from training.fairness import FairnessInput, conditions
from training.groups import SEXES
from training.scores import Probabilities, decision_statistics, macro_auc

# In logits: 0.5 takes a probability of 0.30 to 0.41 or 0.21.
SHIFTS_FOR_ALL = (-1.0, -0.5, 0.5, 1.0)
SHIFTS_BY_SEX = tuple(np.arange(0.25, 4.01, 0.25).tolist())

LEAST_PROBABILITY = 1e-6

Serve = Callable[[Probabilities], NDArray[np.bool_]]  # (n, 5) -> whether each result is urgent, as served


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One remedy and what it costs. The first two are what the gate asks for, None where they cannot be judged.
    urgency_*: of the decision `urgent` against the true labels. acceptable: without a clinical decision."""

    remedy: str
    acceptable: bool
    sex_ratio: float | None
    age_ratio: float | None
    macro_auc: float
    urgent_rate: float
    urgency_sensitivity: float
    urgency_specificity: float
    passes: bool


def trade_off(
    given: FairnessInput, serve: Serve, retrained: Mapping[str, Probabilities] | None = None
) -> tuple[Price, ...]:
    """Every remedy with its price, the model as it is first. retrained: name -> probabilities of models that were
    trained otherwise, for the same recordings."""
    return (
        _price("as it is", given),
        *(_price(f"every logit {by:+.2g}", _with(given, serve, _shifted(given, by))) for by in SHIFTS_FOR_ALL),
        *(_price(name, _with(given, serve, found)) for name, found in (retrained or {}).items()),
        *_by_sex(given, serve),
    )


def reweighing(true_urgent: NDArray[np.float64], sex: Sequence[Sex]) -> NDArray[np.float64]:
    """Training weights (n,), mean 1, under which both sexes have the same true urgent rate. true_urgent: 0, 1 or NaN.
    A recording of unknown sex or urgency keeps 1, as does one of a sex that lacks either kind."""
    weights = np.ones(len(true_urgent))
    known = np.array([s in SEXES for s in sex], bool) & ~np.isnan(true_urgent)
    groups = {s: known & np.array([each is s for each in sex], bool) for s in SEXES}
    if not all(0 < (mask & (true_urgent == 1)).sum() < mask.sum() for mask in groups.values()):
        return weights
    for mask in groups.values():
        for value in (0.0, 1.0):
            cell = mask & (true_urgent == value)
            expected = mask.sum() * (known & (true_urgent == value)).sum() / known.sum()
            weights[cell] = expected / cell.sum()
    return weights


def _price(remedy: str, given: FairnessInput, *, acceptable: bool = True) -> Price:
    sex, age = conditions(given)
    known = ~np.isnan(given.true_urgent)
    decided = decision_statistics(given.true_urgent, given.urgent)
    return Price(
        remedy=remedy,
        acceptable=acceptable,
        sex_ratio=sex.value,
        age_ratio=age.value,
        macro_auc=macro_auc(given.labels, given.probabilities),
        urgent_rate=float(given.urgent[known].mean()),
        urgency_sensitivity=evaluate_once(decided["sensitivity"], len(given)),
        urgency_specificity=evaluate_once(decided["specificity"], len(given)),
        passes=sex.passed and age.passed,
    )


def _by_sex(given: FairnessInput, serve: Serve) -> Iterator[Price]:
    """The smallest shift of the sex with the lower urgent rate that makes the ratio hold; nothing where it holds."""
    shares = {s.value: float(given.urgent[[each is s for each in given.sex]].mean()) for s in set(given.sex) & {*SEXES}}
    if conditions(given)[0].passed or len(shares) < len(SEXES):
        return
    lower = min(shares, key=lambda name: shares[name])
    rows = np.array([s == lower for s in given.sex], bool)
    for by in SHIFTS_BY_SEX:
        shifted = _with(given, serve, _shifted(given, by * rows[:, None]))
        if conditions(shifted)[0].passed:
            yield _price(f"logits of {lower} patients {by:+.2g}", shifted, acceptable=False)
            return


def _shifted(given: FairnessInput, by: float | NDArray[np.float64]) -> Probabilities:
    clipped = np.clip(given.probabilities.astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return expit(logit(clipped) + by).astype(np.float32)


def _with(given: FairnessInput, serve: Serve, probabilities: Probabilities) -> FairnessInput:
    return replace(given, probabilities=probabilities, urgent=serve(probabilities))
