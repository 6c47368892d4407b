"""The paper of a 12-lead ECG and what is drawn on it, for every format.

Three rows of four leads with 2.5 s each, then lead II for 10 s, every row after its calibration pulse of 1 mV and
200 ms, at 25 mm/s and 10 mm/mV. All coordinates are millimetres from the lower left corner of an A4 page in landscape.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.recording import LEADS, Recording

SPEED, GAIN = 25.0, 10.0  # mm/s, mm/mV

PAPER_LEFT, PAPER_BOTTOM, PAPER_WIDTH, PAPER_HEIGHT = 13.5, 16.0, 270.0, 120.0
PAPER_TOP = PAPER_BOTTOM + PAPER_HEIGHT
TIME_ZERO = PAPER_LEFT + 15.0  # the pulse is before it
COLUMN_SECONDS, STRIP_SECONDS = 2.5, 10.0
# A recording that is a little short of 10 s still fills its four columns.
SUCCESSIVE_FROM = 9.5
ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
BASELINES = (121.0, 91.0, 61.0)
STRIP_LEAD, STRIP_BASELINE = "II", 31.0

# A point each 0.05 mm, finer than the line is wide. What is sampled faster keeps the extremes of each interval.
MAX_POINTS_PER_SECOND = 500
# The paper is far smaller than this, and every format can write it.
FARTHEST = 1000.0

MINOR_STEP, MAJOR_STEP = 1, 5  # mm; the stronger lines are 200 ms and 0.5 mV apart
MINOR_LINE, MAJOR_LINE, TRACE = 0.1, 0.2, 0.25  # widths, mm
PINK, RED, BLACK = (0.98, 0.85, 0.85), (0.93, 0.66, 0.66), (0.0, 0.0, 0.0)
LABEL_RIGHT, LABEL_UP = 1.2, 9.0  # of a lead's name, from where its baseline begins

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one lead on the paper: samples start to stop, the first of them at `left`."""

    lead: str
    left: float
    baseline: float
    start: int
    stop: int

    @property
    def dividers(self) -> list[tuple[float, float, float, float]]:
        """Where a column begins: lines (x, y, x, y) above and below the baseline; none at the beginning of a row."""
        if self.left <= TIME_ZERO:
            return []
        return [(self.left, self.baseline + end, self.left, self.baseline + end + 3) for end in (5, -8)]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A segment as it is drawn. lines: x and y of each stretch of valid samples, between which is a gap. is_cut:
    whether a part lies beyond the paper."""

    segment: Segment
    lines: tuple[tuple[Values, Values], ...]
    is_cut: bool

    @property
    def label(self) -> str:
        """The lead's name, and what is wrong with it."""
        return self.segment.lead if self.lines else f"{self.segment.lead} no signal"


def traces(recording: Recording) -> Iterator[Trace]:
    """Every piece of every lead, row by row, the rhythm strip last."""
    yield from (_trace(recording, segment) for segment in _segments(recording))


def pulses() -> Iterator[tuple[list[float], list[float]]]:
    """1 mV for 200 ms before each row, its edges on the lines of the paper: x and y."""
    left, right = PAPER_LEFT + 5, PAPER_LEFT + 5 + 0.2 * SPEED
    for baseline in (*BASELINES, STRIP_BASELINE):
        top = baseline + 1.0 * GAIN
        yield [left - 2.5, left, left, right, right, right + 2.5], [baseline, baseline, top, top, baseline, baseline]


def legend(recording: Recording, is_cut: bool) -> tuple[str, ...]:
    """What a reader of the paper has to know. is_cut: whether a part of any trace lies beyond the paper."""
    times = "the columns follow each other" if _is_successive(recording) else "all columns begin at the same time"
    length = f"the first {STRIP_SECONDS:g} of {recording.duration:g} s" if recording.duration > STRIP_SECONDS else ""
    cut = "PARTS BEYOND THE PAPER ARE CUT OFF" if is_cut else ""
    shown = (f"{SPEED:g} mm/s", f"{GAIN:g} mm/mV", "no filter; median of each lead on its baseline", times, length, cut)
    return tuple(filter(None, shown))


def thinned(values: Values, interval: int) -> NDArray[np.intp]:
    """Which samples to draw: the first, the last, the lowest and the highest of each interval (2: all of them)."""
    whole = len(values) // interval * interval if interval > 2 else 0
    blocks = values[:whole].reshape(-1, max(interval, 1))
    starts = np.arange(len(blocks)) * interval
    rest = np.arange(whole, len(values))
    return np.unique(np.concatenate([[0, len(values) - 1], starts + blocks.argmin(1), starts + blocks.argmax(1), rest]))


def _segments(recording: Recording) -> Iterator[Segment]:
    samples, rate = recording.signal.shape[1], recording.sampling_rate
    for row, baseline in zip(ROWS, BASELINES, strict=True):
        for column, lead in enumerate(row):
            seconds = column * COLUMN_SECONDS
            start = round(seconds * rate) if _is_successive(recording) else 0
            stop = min(start + round(COLUMN_SECONDS * rate), samples)
            yield Segment(lead, TIME_ZERO + seconds * SPEED, baseline, start, stop)
    yield Segment(STRIP_LEAD, TIME_ZERO, STRIP_BASELINE, 0, min(round(STRIP_SECONDS * rate), samples))


def _is_successive(recording: Recording) -> bool:
    """Whether each column goes on where the last one ended. A short recording shows its beginning in all of them."""
    return recording.duration >= SUCCESSIVE_FROM


def _trace(recording: Recording, segment: Segment) -> Trace:
    row = recording.signal[LEADS.index(segment.lead)].astype(np.float64)
    valid = row[np.isfinite(row)]
    level = float(np.median(valid)) if valid.size else 0.0
    y = segment.baseline + (row[segment.start : segment.stop] - level) * GAIN
    x = segment.left + np.arange(len(y)) * SPEED / recording.sampling_rate
    interval = int(2 * recording.sampling_rate // MAX_POINTS_PER_SECOND)
    kept = [run.start + thinned(y[run], interval) for run in _runs(np.isfinite(y))]
    return Trace(
        segment=segment,
        lines=tuple((x[points], np.clip(y[points], -FARTHEST, FARTHEST)) for points in kept),
        is_cut=bool((y > PAPER_TOP).any() or (y < PAPER_BOTTOM).any()),
    )


def _runs(valid: NDArray[np.bool_]) -> Iterator[slice]:
    """The stretches of valid samples."""
    edges = np.flatnonzero(np.diff(valid, prepend=False, append=False))
    yield from (slice(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))
