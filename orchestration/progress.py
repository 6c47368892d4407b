"""Progress of long work in the log of a step: a line each tenth, because a log is read and not watched."""

from collections.abc import Callable

import dagster as dg

LINES = 10


def to_log(context: dg.AssetExecutionContext, what: str) -> Callable[[int, int], None]:
    """A callback that takes how many are done, of how many."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = done * LINES // max(total, 1)
        if tenth > told:
            told = tenth
            context.log.info("%s: %s of %s", what, f"{done:,}", f"{total:,}")

    return progress
