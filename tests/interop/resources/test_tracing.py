import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.recording import LEADS, Recording
from interop.resources.tracing import BASELINES, STRIP_BASELINE, TIME_ZERO, legend, pulses, thinned, traces

RATE = 500.0


def recording(signal: "np.ndarray[tuple[int, int], np.dtype[np.float64]] | None" = None) -> Recording:
    return Recording((np.zeros((12, 5000)) if signal is None else signal).astype(np.float32), RATE)


@given(
    values=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=200),
    interval=st.integers(0, 64),
)
def test_thinning_keeps_ends_and_extremes_and_the_order(values: list[float], interval: int) -> None:
    samples = np.array(values)
    kept = thinned(samples, interval)
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert (samples[kept].min(), samples[kept].max()) == (samples.min(), samples.max())


def test_every_lead_has_its_column_and_lead_ii_the_whole_strip() -> None:
    drawn = list(traces(recording()))
    assert sorted(trace.segment.lead for trace in drawn[:-1]) == sorted(LEADS)
    strip = drawn[-1].segment
    assert (strip.lead, strip.baseline, strip.stop) == ("II", STRIP_BASELINE, 5000)
    assert all(trace.segment.stop - trace.segment.start == 1250 for trace in drawn[:-1])


def test_a_column_is_divided_from_the_one_before_it() -> None:
    dividers = {trace.segment.left: len(trace.segment.dividers) for trace in traces(recording())}
    assert dividers == {TIME_ZERO: 0, TIME_ZERO + 62.5: 2, TIME_ZERO + 125: 2, TIME_ZERO + 187.5: 2}


def test_invalid_samples_part_a_lead_and_a_lead_of_nothing_else_says_so() -> None:
    signal = np.zeros((12, 5000))
    signal[0, 100:200] = np.nan
    signal[1] = np.nan
    drawn = list(traces(recording(signal)))
    parted, lost = drawn[0], drawn[-1]
    ends = [end for x, _ in parted.lines for end in (x[0], x[-1])]
    assert ends == pytest.approx([TIME_ZERO + sample * 0.05 for sample in (0, 99, 200, 1249)])
    assert (lost.lines, lost.label) == ((), "II no signal")


def test_what_lies_beyond_the_paper_is_told() -> None:
    signal = np.zeros((12, 5000))
    signal[0, 100] = 9.0
    drawn = list(traces(recording(signal)))
    assert [trace.is_cut for trace in drawn] == [True, *[False] * 12]
    assert "PARTS BEYOND THE PAPER ARE CUT OFF" in legend(recording(signal), True)
    assert len(legend(recording(signal), False)) == 4


def test_a_pulse_of_1_mv_stands_before_each_row() -> None:
    for (x, y), baseline in zip(pulses(), (*BASELINES, STRIP_BASELINE), strict=True):
        assert max(x) < TIME_ZERO
        assert (min(y), max(y)) == (baseline, baseline + 10)
