"""Which of a model's ONNX graphs runs: fp32, or int8 where it was released and is faster on this machine.

Which is faster depends on the processor: integer kernels win by a factor of two where they are good, and lose where
they are not. So nobody has to know: both are timed when the model is loaded. Their probabilities differ by a few
hundredths at most (the card has the figures); every Analysis names the checksum of the weights that made it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from time import perf_counter

PASSES = 9  # of each; the median of so many is not moved by a few that were interrupted
SECONDS = 0.2  # for both together: a slow machine gets fewer passes, not a slow start
# What int8 must come down to. Two equal graphs differ by some per cent from one start to the next; a difference within
# that should not change what runs.
ADVANTAGE = 0.9


class Precision(StrEnum):
    """Numbers that the network calculates with; `auto`: whichever is faster."""

    AUTO = "auto"
    FP32 = "fp32"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Choice:
    """precision: what runs. fp32_ms, int8_ms: median time of a forward pass, None where there was nothing to choose."""

    precision: Precision
    fp32_ms: float | None = None
    int8_ms: float | None = None


def faster(fp32: Callable[[], object], int8: Callable[[], object], clock: Callable[[], float] = perf_counter) -> Choice:
    """Time one forward pass of each in turn, so that other load on the machine hits both alike, and choose.

    fp32 unless int8 takes less than `ADVANTAGE` of its time. Both should have run before: first passes are slow.
    """
    times: dict[Precision, list[float]] = {Precision.FP32: [], Precision.INT8: []}
    passes = ((times[Precision.FP32], fp32), (times[Precision.INT8], int8))
    end = clock() + SECONDS
    for _ in range(PASSES):
        for taken, run in passes:
            started = clock()
            run()
            taken.append(clock() - started)
        if clock() >= end:
            break
    by_fp32, by_int8 = (median(taken) * 1000 for taken in times.values())
    precision = Precision.INT8 if by_int8 < ADVANTAGE * by_fp32 else Precision.FP32
    return Choice(precision, round(by_fp32, 2), round(by_int8, 2))
