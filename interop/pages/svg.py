"""A 12-lead ECG as SVG 1.1 for a page: true to scale where it is printed, readable without colour, without style or
script of its own.

The paper of `interop.resources.tracing` is the whole drawing: its width and height are in millimetres, and so is its
coordinate system, with the origin in the upper left corner. Leads are drawn in hundredths of a millimetre, each point
by its distance from the last one: a third of what absolute decimals take.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from inference.recording import Recording
from interop.resources.tracing import (
    LABEL_RIGHT,
    LABEL_UP,
    MAJOR_LINE,
    MAJOR_STEP,
    MINOR_LINE,
    MINOR_STEP,
    PAPER_HEIGHT,
    PAPER_LEFT,
    PAPER_TOP,
    PAPER_WIDTH,
    PINK,
    RED,
    ROWS,
    STRIP_LEAD,
    TRACE,
    Trace,
    legend,
    pulses,
    traces,
)

FINE = 100  # drawing units of a lead in a millimetre
LABEL_SIZE = 3.4  # mm
TITLE = "12-lead ECG"
LAYOUT = "; ".join([*(" ".join(row) for row in ROWS), f"{STRIP_LEAD} as rhythm strip"])

Points = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawing:
    """svg: the element, which may stand in a page as it is. legend: what its reader has to know."""

    svg: str
    legend: tuple[str, ...]

    def __html__(self) -> str:
        """What a template that escapes puts in: everything in it is drawn or escaped here."""
        return self.svg


def ecg_svg(recording: Recording) -> Drawing:
    """Draw a recording."""
    drawn = tuple(traces(recording))
    shown = legend(recording, any(trace.is_cut for trace in drawn))
    return Drawing("".join(_parts(drawn, shown)), shown)


def _parts(drawn: Sequence[Trace], shown: Sequence[str]) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PAPER_WIDTH:g}mm" height="{PAPER_HEIGHT:g}mm" '
        f'viewBox="0 0 {PAPER_WIDTH:g} {PAPER_HEIGHT:g}" overflow="hidden" role="img" '
        'aria-labelledby="ecg-title" aria-describedby="ecg-description">'
    )
    yield f'<title id="ecg-title">{TITLE}</title>'
    yield f'<desc id="ecg-description">{escape(_description(shown))}</desc>'
    yield _paper()
    yield f'<g transform="scale({1 / FINE:g})" fill="none" stroke="#000" stroke-width="{TRACE * FINE:g}" '
    yield 'stroke-linejoin="round" stroke-linecap="round">'
    yield from (_line("pulse", x, y) for x, y in pulses())
    for trace in drawn:
        yield from (_line(trace.segment.lead, x, y) for x, y in trace.lines)
        yield from (_line("column", (x, to_x), (y, to_y)) for x, y, to_x, to_y in trace.segment.dividers)
    yield f'</g><g font-family="Arial, Helvetica, sans-serif" font-size="{LABEL_SIZE:g}" font-weight="bold">'
    yield from map(_label, drawn)
    yield "</g></svg>"


def _description(shown: Sequence[str]) -> str:
    return f"Rows of leads: {LAYOUT}. Scale and times: {', '.join(shown)}."


def _paper() -> str:
    """Lines each millimetre, stronger ones each 5 mm (200 ms, 0.5 mV)."""
    lines = []
    for width, colour, step in ((MINOR_LINE, PINK, MINOR_STEP), (MAJOR_LINE, RED, MAJOR_STEP)):
        upright = "".join(f"M{x} 0v{PAPER_HEIGHT:g}" for x in range(0, round(PAPER_WIDTH) + 1, step))
        level = "".join(f"M0 {y}h{PAPER_WIDTH:g}" for y in range(0, round(PAPER_HEIGHT) + 1, step))
        lines.append(f'<path stroke="{_colour(colour)}" stroke-width="{width:g}" d="{upright}{level}"/>')
    return "".join(lines)


def _line(name: str, x: Points, y: Points) -> str:
    """A line through points of the page, in whole drawing units: what is rounded does not add up."""
    across = np.rint((np.asarray(x) - PAPER_LEFT) * FINE).astype(np.int64)
    down = np.rint((PAPER_TOP - np.asarray(y)) * FINE).astype(np.int64)
    steps = np.column_stack([np.diff(across), np.diff(down)]).ravel().tolist() or [0, 0]  # one sample is a dot
    return f'<path data-of="{name}" d="M{across[0]} {down[0]}l{" ".join(map(str, steps))}"/>'


def _label(trace: Trace) -> str:
    x, y = trace.segment.left + LABEL_RIGHT - PAPER_LEFT, PAPER_TOP - trace.segment.baseline - LABEL_UP
    return f'<text x="{x:g}" y="{y:g}">{escape(trace.label)}</text>'


def _colour(parts: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
