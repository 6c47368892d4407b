"""Shares with their intervals, as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from training.bootstrap import RESAMPLES, Interval, percentiles, wilson

SEED = 0


def share(count: int, of: int, name: str = "count") -> dict[str, Any]:
    """A share with its 95 % Wilson interval. name: what is counted. rate, low, high: None of nothing."""
    found = wilson(count, of) if of else None
    bounds = (found.value, found.low, found.high) if found else (None, None, None)
    return {"n": of, name: count, **dict(zip(("rate", "low", "high"), bounds, strict=True))}


def interval_json(found: Interval | None) -> dict[str, float] | None:
    """value, low, high."""
    return None if found is None else asdict(found)


def lowest_over_highest(counts: Sequence[tuple[int, int]]) -> Interval | None:
    """The lowest over the highest of shares (count, of), with a 95 % interval; None for fewer than two, or where all
    are 0.

    The interval is that of shares drawn from what is known of each after the count, with Jeffreys' prior (Brown, Cai
    and DasGupta, Statistical Science 16:101, 2001). Resampling the count itself would call a share of 0 of 20 certain.
    """
    hits = np.array([count for count, _ in counts], np.int64)
    sizes = np.array([of for _, of in counts], np.int64)
    if len(counts) < 2 or not hits.any():
        return None
    shares = hits / sizes
    drawn = np.random.default_rng(SEED).beta(hits + 0.5, sizes - hits + 0.5, (RESAMPLES, len(counts)))
    low, high = percentiles(drawn.min(axis=1) / drawn.max(axis=1))
    value = float(shares.min() / shares.max())
    return Interval(value, min(value, float(low)), max(value, float(high)))
