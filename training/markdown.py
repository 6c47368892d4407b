"""Figures and tables of model cards and reports, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

UNKNOWN = "-"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; an empty head for a column that needs none."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def interval_text(figure: Mapping[str, float] | float | None, digits: int = 3) -> str:
    """A figure with its interval. Cards of version 0.1 have some without."""
    if figure is None:
        return UNKNOWN
    if isinstance(figure, Mapping):
        low, high = figure["low"], figure["high"]
        return f"{figure['value']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    return f"{figure:.{digits}f}"


def number_text(figure: float | None, digits: int = 2) -> str:
    """A bare figure."""
    return UNKNOWN if figure is None else f"{figure:.{digits}f}"
