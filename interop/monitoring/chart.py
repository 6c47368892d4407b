"""A trend as SVG for a page: lines with their intervals, named where they end. Without style, script or colour of its
own: the stylesheet of the page gives colours by class, so it can be read in dark and light and on paper, and each line
has its own mark and dashes, so it can be read without colour.

In pixels of a plot 360 wide, which a page may show larger or smaller; the origin is in the upper left corner.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from interop.monitoring.axis import Axis, axis, days
from interop.monitoring.trends import Figure, Line, Point, Trend

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 254, 10, 166  # of the plot itself; right of it lines are named
NAME_LEFT = RIGHT + 9
LINE_HEIGHT = 13  # of names, which must not lie on each other
MARK = 3.2  # half of one

# The looks of lines, in order: `page` styles `.l0` and on. Each mark is a path around 0 0.
MARKS = (
    f"a{MARK} {MARK} 0 1 0 {2 * MARK} 0a{MARK} {MARK} 0 1 0 {-2 * MARK} 0z",
    f"m0 {-MARK}h{2 * MARK}v{2 * MARK}h{-2 * MARK}z",
    f"m0 {MARK}l{MARK} {-2 * MARK}l{MARK} {2 * MARK}z",
    f"l{MARK} {-MARK * 1.3:g}l{MARK} {MARK * 1.3:g}l{-MARK} {MARK * 1.3:g}z",
    f"m0 {-MARK}l{MARK} {2 * MARK}l{MARK} {-2 * MARK}z",
    f"h{2 * MARK}m{-MARK} {-MARK}v{2 * MARK}",
)


@dataclass(frozen=True, slots=True)
class Chart:
    """svg: the element, which may stand in a page as it is."""

    svg: str

    def __html__(self) -> str:
        """What a template that escapes puts in: everything in it is drawn or escaped here."""
        return self.svg


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a time and a value are drawn."""

    begin: datetime
    end: datetime
    axis: Axis

    def x(self, at: datetime) -> float:
        """Across."""
        return round(LEFT + (RIGHT - LEFT) * ((at - self.begin) / (self.end - self.begin)), 1)

    def y(self, value: float) -> float:
        """Down."""
        return round(BOTTOM - (BOTTOM - TOP) * self.axis.place(value), 1)


def chart(trend: Trend, begin: datetime, end: datetime) -> Chart:
    """Draw a trend between two times."""
    frame = Frame(begin, end, axis(trend))
    return Chart("".join(_parts(trend, frame)))


def description(trend: Trend) -> str:
    """For somebody who does not see the plot: the first and the last figure of each line, and the limit."""
    told = [_told(line, trend) for line in trend.lines if line.last]
    limit = [f"Dashed line: {trend.limit.words}."] if trend.limit else []
    return " ".join([trend.about, *told, *limit])


def figure_words(figure: Figure, trend: Trend) -> str:
    """A figure with its interval."""
    words = trend.unit.words(figure.value)
    if figure.low is None or figure.high is None:
        return words
    return f"{words} ({trend.unit.words(figure.low)} to {trend.unit.words(figure.high)})"


def _told(line: Line, trend: Trend) -> str:
    known = [point for point in line.points if point.figure]
    first, last = (f"{figure_words(p.figure, trend)} on {p.at:%Y-%m-%d}" for p in (known[0], known[-1]) if p.figure)
    return f"{line.name}: {first}." if len(known) == 1 else f"{line.name}: {first}, {last}."


def _parts(trend: Trend, frame: Frame) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{trend.id}-title" aria-describedby="{trend.id}-description">'
    )
    yield f'<title id="{trend.id}-title">{escape(trend.title)}</title>'
    yield f'<desc id="{trend.id}-description">{escape(description(trend))}</desc>'
    yield from _grid(trend, frame)
    for number, line in enumerate(trend.lines):
        pieces = list(_pieces(line))
        yield from (_band(number, piece, frame) for piece in pieces)
        yield from (_drawn(number, piece, frame) for piece in pieces)
    yield from _names(trend, frame)
    yield "</svg>"


def _grid(trend: Trend, frame: Frame) -> Iterator[str]:
    level = "".join(f"M{LEFT} {frame.y(value)}H{RIGHT}" for value, _ in frame.axis.ticks)
    yield f'<path class="grid" d="{level}"/>'
    for value, words in frame.axis.ticks:
        yield f'<text class="tick" x="{LEFT - 5}" y="{frame.y(value) + 4}" text-anchor="end">{escape(words)}</text>'
    for at, words in days(frame.begin, frame.end):
        yield f'<path class="grid" d="M{frame.x(at)} {BOTTOM}v4"/>'
        yield f'<text class="tick" x="{frame.x(at)}" y="{BOTTOM + 17}" text-anchor="middle">{escape(words)}</text>'
    if trend.limit:
        y = frame.y(trend.limit.value)
        above = y - 4 if y > TOP + LINE_HEIGHT else y + LINE_HEIGHT
        yield f'<path class="limit" d="M{LEFT} {y}H{RIGHT}"/>'
        yield f'<text class="limit" x="{LEFT + 3}" y="{above}">{escape(trend.limit.words)}</text>'


def _pieces(line: Line) -> Iterator[list[tuple[datetime, Figure]]]:
    """What hangs together: between two of them something could not be told."""
    piece: list[tuple[datetime, Figure]] = []
    for point in line.points:
        if point.figure:
            piece.append((point.at, point.figure))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _band(number: int, piece: Sequence[tuple[datetime, Figure]], frame: Frame) -> str:
    """The intervals; of a single figure an upright line."""
    known = [(at, f.low, f.high) for at, f in piece if f.low is not None and f.high is not None]
    if not known:
        return ""
    if len(known) == 1:
        at, low, high = known[0]
        return f'<path class="whisker l{number}" d="M{frame.x(at)} {frame.y(low)}V{frame.y(high)}"/>'
    upper = [(frame.x(at), frame.y(high)) for at, _, high in known]
    lower = [(frame.x(at), frame.y(low)) for at, low, _ in reversed(known)]
    return f'<path class="band l{number}" d="{_path(upper + lower)}z"/>'


def _drawn(number: int, piece: Sequence[tuple[datetime, Figure]], frame: Frame) -> str:
    places = [(frame.x(at), frame.y(figure.value)) for at, figure in piece]
    line = f'<path class="line l{number}" d="{_path(places)}"/>' if len(places) > 1 else ""
    x, y = places[-1]
    return f'{line}<path class="mark l{number}" d="M{x - MARK:g} {y}{MARKS[number]}"/>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places)


def _names(trend: Trend, frame: Frame) -> Iterator[str]:
    """Each line's name and newest figure beside its end, moved apart where they would lie on each other."""
    ends = [(number, line, line.last) for number, line in enumerate(trend.lines)]
    known = [(number, line, point) for number, line, point in ends if point and point.figure]
    known.sort(key=lambda found: _end(found[2], frame))
    places = _apart([_end(point, frame) for _, _, point in known])
    for (number, line, point), y in zip(known, places, strict=True):
        assert point.figure
        words = f"{line.name} {trend.unit.words(point.figure.value)}"
        from_y, from_x = _end(point, frame), frame.x(point.at) + MARK + 1
        yield f'<path class="lead l{number}" d="M{from_x:g} {from_y:g}L{max(NAME_LEFT - 2, from_x):g} {y:g}"/>'
        yield f'<text class="name l{number}" x="{NAME_LEFT}" y="{y + 4:g}">{escape(words)}</text>'


def _end(point: Point, frame: Frame) -> float:
    return frame.y(point.figure.value) if point.figure else 0.0


def _apart(places: Sequence[float]) -> list[float]:
    """The same from top to bottom, a line apart from each other and on the plot."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + LINE_HEIGHT) if found else max(place, TOP))
    lowest = float(BOTTOM)
    for number in reversed(range(len(found))):
        found[number] = min(found[number], lowest)
        lowest = found[number] - LINE_HEIGHT
    return found
