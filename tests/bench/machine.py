"""How even the machine runs: the same work again and again, with nothing else to do.

A budget on the 99th percentile can only hold where the median is below it by at least this much.
"""

from dataclasses import replace
from time import sleep

import numpy as np

from tests.bench.figures import Table, quantile, times
from tests.bench.parsing import timed
from tests.bench.sizes import Sizes

REPEATS = 1500  # the 99th percentile rests on the slowest fifteen
PAUSE_SECONDS = 0.002  # between two, as between two requests
SORTS, COUNTS = 60, 400  # three milliseconds of numpy and Python on the machines at hand


def measure(sizes: Sizes) -> Table:
    """One row."""
    signal = np.random.default_rng(0).standard_normal((12, 5000), np.float32)

    def work() -> float:
        total = 0.0
        for start in range(SORTS):
            total += float(np.sort(signal[:, 40 * start : 40 * start + 600], axis=1).sum())
            for number in range(COUNTS):
                total += number * 0.5
        return total

    def taken() -> float:
        sleep(PAUSE_SECONDS)
        (seconds,) = timed(work, 1)
        return seconds

    seconds = [taken() for _ in range(min(REPEATS, 10 * sizes.repeats))]
    note = f"p99 is {quantile(seconds, 0.99) / quantile(seconds, 0.5):.2f} times p50"
    return Table("The machine itself", (replace(times("the same numpy and Python, one thread", seconds), note=note),))
