"""Figures over time, as values that a plot or a table only has to show. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

SMALLEST = 1e-6  # of chances; what is less is told and drawn as that


class Unit(Enum):
    """What a figure counts, and so how it is written and how large it can be."""

    SHARE = ("share", 1.0)
    RATIO = ("ratio", 1.0)
    AUC = ("AUC", 1.0)
    MILLISECONDS = ("ms", math.inf)
    COUNT = ("count", math.inf)
    CHANCE = ("chance", 1.0)  # of small ones the order of magnitude counts

    def __init__(self, what: str, most: float) -> None:
        self.most = most

    def words(self, value: float) -> str:
        """With its sign."""
        match self:
            case Unit.SHARE:
                return f"{value:.1%}"
            case Unit.RATIO:
                return f"{value:.2f}"
            case Unit.AUC:
                return f"{value:.3f}"
            case Unit.CHANCE:
                return f"{value:.2g}" if value >= SMALLEST else f"< {SMALLEST:g}"
            case Unit.MILLISECONDS:
                return f"{_short(value)} ms"
            case Unit.COUNT:
                return _short(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{round(value, 2):g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, with its 95 % interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of one report; None where it could not be told."""

    at: datetime
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing over time, a point for each report."""

    name: str
    points: tuple[Point, ...]

    @property
    def last(self) -> Point | None:
        """The newest that is known."""
        return next((point for point in reversed(self.points) if point.figure), None)


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a figure is flagged: below what is needed, or above what is allowed."""

    value: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What is plotted together. id: of the plot in its page. about: what the figure is, in a sentence."""

    id: str
    title: str
    about: str
    unit: Unit
    lines: tuple[Line, ...]
    limit: Limit | None

    @property
    def is_empty(self) -> bool:
        """Whether no report tells anything of it."""
        return all(line.last is None for line in self.lines)
