"""Two classifiers on the same ECGs: how far they agree, and whether one is ahead.

Both saw every ECG, so they are compared pair by pair: what both say alike tells nothing of which is better, and takes
the spread between patients out of the difference.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from training.bootstrap import CONFIDENCE, Interval, Mask, Statistic, Weights
from training.ranking import Probability, Truth, auc

QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


@dataclass(frozen=True, slots=True)
class Table:
    """How often both, only the first, only the second, and neither say yes."""

    both: int
    first: int
    second: int
    neither: int

    @classmethod
    def of(cls, first: Mask, second: Mask) -> "Table":
        """Count them."""
        return cls(
            int((first & second).sum()),
            int((first & ~second).sum()),
            int((~first & second).sum()),
            int((~first & ~second).sum()),
        )

    @property
    def n(self) -> int:
        """All of them."""
        return self.both + self.first + self.second + self.neither

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance (Cohen, Educational and Psychological Measurement 20:37, 1960): 1 at best, 0 as by
        chance. None where there is no chance to differ from: of nothing, or where both always say the same one word."""
        if not self.n:
            return None
        first, second = (self.both + self.first) / self.n, (self.both + self.second) / self.n
        by_chance = first * second + (1 - first) * (1 - second)
        return None if by_chance == 1 else ((self.both + self.neither) / self.n - by_chance) / (1 - by_chance)

    @property
    def difference(self) -> Interval | None:
        """The share of the second less that of the first, with a 95 % interval; None of nothing.

        Wald's interval for matched pairs after half a count was added to each cell (Agresti and Min, Statistics in
        Medicine 24:729, 2005), which holds where few or none differ: then Wald's own has no width."""
        if not self.n:
            return None
        n, first, second = self.n + 2, self.first + 0.5, self.second + 0.5
        middle = (second - first) / n
        half = norm.ppf(0.5 + CONFIDENCE / 200) * np.sqrt((first + second) / n - middle**2) / np.sqrt(n)
        value = (self.second - self.first) / self.n
        return Interval(value, max(-1.0, float(middle - half)), min(1.0, float(middle + half)))

    @property
    def p_value(self) -> float:
        """Of the exact test of McNemar (Psychometrika 12:153, 1947), two-sided: whether those that only one says yes to
        are as many for both."""
        apart = self.first + self.second
        return float(binomtest(self.first, apart).pvalue) if apart else 1.0

    def to_json(self, first: str, second: str) -> dict[str, Any]:
        """Under the names of the two."""
        return {
            "both": self.both,
            f"{first}_only": self.first,
            f"{second}_only": self.second,
            "neither": self.neither,
            "p_value": self.p_value,
        }


def apart(first: Probability, second: Probability) -> dict[str, float | None]:
    """Mean and quantiles of how far two probabilities lie apart; None of nothing."""
    if not len(first):
        return dict.fromkeys(("mean", *QUANTILES))
    distances = np.abs(second - first)
    values = np.percentile(distances, list(QUANTILES.values())).tolist()
    return {"mean": float(distances.mean()), **dict(zip(QUANTILES, values, strict=True))}


def auc_difference(truth: Truth, first: Probability, second: Probability) -> Statistic:
    """The AUC of the second less that of the first, in the same resamples. NaN without both kinds of recordings."""
    one, other = auc(truth, first), auc(truth, second)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        return other(weights) - one(weights)

    return statistic
