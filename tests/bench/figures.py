"""What a benchmark finds, and whether it holds its budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Measure = Literal["p50", "p99", "rate", "factor"]

# How each measure is written beside its limit; p50 of a single value (memory, start) needs no name.
_SIGNS: dict[Measure, str] = {"p50": "", "p99": "p99 ", "rate": "", "factor": ""}


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on one measure of a row: an upper bound for times and sizes, a lower one for rates and factors."""

    measure: Measure
    limit: float

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.measure in ("rate", "factor")

    def misses_by(self, value: float) -> float:
        """How many times over the limit (or under it, where more is better); 1 or less holds."""
        if self.at_least:
            return self.limit / value if value else float("inf")
        return value / self.limit

    def text(self, unit: str) -> str:
        """The budget for a person to read."""
        if self.measure == "factor":
            return f"≥ {self.limit:g}x faster"
        if self.measure == "rate":
            return f"≥ {self.limit:g}/s"
        return f"{_SIGNS[self.measure]}< {self.limit:g} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. p50, p99 in `unit`; rate per second; factor: times faster than the row it is compared to.
    failures: answers that were not what a success looks like; a row that has any does not hold."""

    what: str
    p50: float | None = None
    p99: float | None = None
    rate: float | None = None
    factor: float | None = None
    unit: str = "ms"
    budgets: tuple[Budget, ...] = ()
    failures: int = 0
    note: str = ""

    @property
    def verdict(self) -> str:
        """`holds`, `missed by 1.8x`, `failed` with the number of failures, or nothing without a budget."""
        if self.failures:
            return f"failed: {self.failures} wrong answers"
        worst = max((self._miss(budget) for budget in self.budgets), default=None)
        if worst is None:
            return ""
        return "holds" if worst <= 1 else f"missed by {worst:.3g}x"

    @property
    def budget(self) -> str:
        """All budgets of the row."""
        return ", ".join(budget.text(self.unit) for budget in self.budgets)

    def _miss(self, budget: Budget) -> float:
        value = getattr(self, budget.measure)
        return float("inf") if value is None else budget.misses_by(value)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title. heading: what stands in the column of p50, where it is another single value."""

    title: str
    rows: tuple[Row, ...]
    heading: str = "p50"


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest measured value that at least the part `q` of all does not exceed: nothing is interpolated."""
    return float(np.quantile(np.asarray(values), q, method="inverted_cdf"))


def times(what: str, seconds: Sequence[float]) -> Row:
    """A row of durations in milliseconds."""
    milliseconds = [1000 * value for value in seconds]
    return Row(what=what, p50=quantile(milliseconds, 0.5), p99=quantile(milliseconds, 0.99))
