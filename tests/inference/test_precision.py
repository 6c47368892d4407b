from collections.abc import Callable

import pytest

from inference.precision import ADVANTAGE, PASSES, SECONDS, Choice, Precision, faster


class Machine:
    """A clock that only passes while a model runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now

    def model(self, name: str, *seconds: float) -> Callable[[], None]:
        """A model whose passes take these times in turn, then the last of them again and again."""
        waiting = list(seconds)

        def run() -> None:
            self.order.append(name)
            self.now += waiting.pop(0) if len(waiting) > 1 else waiting[0]

        return run


@pytest.mark.parametrize(
    ("fp32", "int8", "expected"),
    [
        (0.004, 0.002, Precision.INT8),
        (0.004, 0.004 * (ADVANTAGE - 0.01), Precision.INT8),
        (0.004, 0.004 * (ADVANTAGE + 0.01), Precision.FP32),
        (0.004, 0.012, Precision.FP32),
    ],
)
def test_int8_runs_only_where_it_is_faster_by_more_than_two_starts_differ(
    fp32: float, int8: float, expected: Precision
) -> None:
    machine = Machine()
    choice = faster(machine.model("fp32", fp32), machine.model("int8", int8), machine.clock)
    assert choice == Choice(expected, round(fp32 * 1000, 2), round(int8 * 1000, 2))


def test_a_few_interrupted_passes_do_not_decide() -> None:
    machine = Machine()
    interrupted = machine.model("int8", *[0.02] * (PASSES // 2 - 1), 0.002)
    assert faster(machine.model("fp32", 0.004), interrupted, machine.clock).precision is Precision.INT8


def test_both_take_turns_so_that_other_load_hits_them_alike() -> None:
    machine = Machine()
    faster(machine.model("fp32", 0.004), machine.model("int8", 0.002), machine.clock)
    assert machine.order == ["fp32", "int8"] * PASSES


def test_a_slow_machine_is_not_held_up_by_the_timing() -> None:
    machine = Machine()
    choice = faster(machine.model("fp32", 0.1), machine.model("int8", 0.05), machine.clock)
    assert choice.precision is Precision.INT8
    assert machine.now <= SECONDS + 0.15, "no more than one turn after the time is up"
