"""A report with its tracing as one page for clinicians: A4 landscape, vector graphics, true to scale.

The tracing lies on millimetre paper (`interop.resources.tracing`); all coordinates are millimetres from the lower left
corner of the page.

Text is set in Helvetica, one of the 14 fonts that every reader of PDF brings (ISO 32000-1, 9.6.2.2). It holds Latin
script; another character is written as its code point (`\\u0416`), because two patients whose names lack different
letters would look like one. The same input gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from inference.recording import Recording
from interop.resources import report_words as words
from interop.resources.report_words import Resource
from interop.resources.tracing import (
    BLACK,
    LABEL_RIGHT,
    LABEL_UP,
    MAJOR_LINE,
    MAJOR_STEP,
    MINOR_LINE,
    MINOR_STEP,
    PAPER_BOTTOM,
    PAPER_HEIGHT,
    PAPER_LEFT,
    PAPER_TOP,
    PAPER_WIDTH,
    PINK,
    RED,
    TRACE,
    Trace,
    legend,
    pulses,
    traces,
)

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

POINTS = 72 / 25.4  # of a millimetre
PAGE = (297.0, 210.0)

ALARM = (0.75, 0.0, 0.0)
PLAIN, BOLD = "Helvetica", "Helvetica-Bold"
SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0)  # points; the first that lets a text fit
LEADING = 1.2

# Signs that texts use and Helvetica's encoding lacks.
_SPELLED = str.maketrans({"≥": ">=", "≤": "<=", "→": "->", "−": "-", "μ": "µ", "\t": " "})


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of text, to be wrapped."""

    text: str
    bold: bool = False

    @property
    def font(self) -> str:
        """Its name in PDF."""
        return BOLD if self.bold else PLAIN


@dataclass(frozen=True, slots=True)
class Box:
    """Where a text goes, in mm. bottom: no line is below it."""

    left: float
    top: float
    width: float
    bottom: float = PAPER_TOP + 2.5


FACTS, INTERVALS, FINDINGS = Box(13.5, 190.0, 72.0), Box(90.0, 190.0, 48.0), Box(142.0, 190.0, 141.5)


def report_pdf(
    *,
    recording: Recording,
    report: Resource,
    requests: Sequence[Resource],
    measurements: Sequence[Resource],
    issued: datetime,
    device: Resource | None = None,
) -> bytes:
    """The page. report: a DiagnosticReport; requests: its ServiceRequests; measurements: its Observations; device: the
    Device of its model, None where none was run. issued: aware; the time that the file says it was made.

    Of the patient it shows what `report.subject` holds, and age and sex.
    """
    from reportlab import rl_config  # on first use: 10 MB
    from reportlab.pdfgen.canvas import Canvas

    rl_config.useA85 = 0  # text in place of bytes would make the file a quarter larger
    content = BytesIO()
    size = (PAGE[0] * POINTS, PAGE[1] * POINTS)
    canvas = Canvas(content, pagesize=size, pageCompression=1, invariant=1, lang="en")
    canvas.setDateFormatter(lambda *_: issued.astimezone(UTC).strftime("D:%Y%m%d%H%M%SZ"))
    canvas.setTitle(f"12-lead ECG, {words.name(report)}")
    canvas.setAuthor("automatic analysis")
    canvas.setSubject(words.status(report))
    canvas.scale(POINTS, POINTS)
    _paper(canvas)
    is_cut = _tracing(canvas, recording)
    _header(canvas, report)
    _write(canvas, FACTS, list(_facts(report, recording, issued, device)), words.name(report))
    _write(canvas, INTERVALS, list(_intervals(measurements)), words.name(report))
    _write(canvas, FINDINGS, [*_conclusion(report), *_actions(requests)], words.name(report))
    _footer(canvas, report, issued, legend(recording, is_cut))
    canvas.showPage()
    canvas.save()
    return content.getvalue()


def _paper(canvas: "Canvas") -> None:
    """Lines each millimetre, stronger ones each 5 mm (200 ms, 0.5 mV)."""
    for width, colour, step in ((MINOR_LINE, PINK, MINOR_STEP), (MAJOR_LINE, RED, MAJOR_STEP)):
        canvas.setLineWidth(width)
        canvas.setStrokeColorRGB(*colour)
        across = [PAPER_LEFT + x for x in range(0, round(PAPER_WIDTH) + 1, step)]
        up = [PAPER_BOTTOM + y for y in range(0, round(PAPER_HEIGHT) + 1, step)]
        canvas.lines([(x, PAPER_BOTTOM, x, PAPER_TOP) for x in across])
        canvas.lines([(PAPER_LEFT, y, PAPER_LEFT + PAPER_WIDTH, y) for y in up])


def _tracing(canvas: "Canvas", recording: Recording) -> bool:
    """Draw all leads. True when a part of them lies beyond the paper."""
    canvas.saveState()
    edge = canvas.beginPath()
    edge.rect(PAPER_LEFT, PAPER_BOTTOM, PAPER_WIDTH, PAPER_HEIGHT)
    canvas.clipPath(edge, stroke=0, fill=0)
    canvas.setLineWidth(TRACE)
    canvas.setLineJoin(1)
    canvas.setLineCap(1)
    canvas.setStrokeColorRGB(*BLACK)
    for x, y in pulses():
        _draw(canvas, x, y)
    cut = [_trace(canvas, trace) for trace in traces(recording)]
    canvas.restoreState()
    return any(cut)


def _trace(canvas: "Canvas", trace: Trace) -> bool:
    """Draw one piece with the name of its lead, and where a column begins. True when it leaves the paper."""
    for x, y in trace.lines:
        _draw(canvas, x.tolist(), y.tolist())
    if trace.segment.dividers:
        canvas.lines(trace.segment.dividers)
    left, up = trace.segment.left + LABEL_RIGHT, trace.segment.baseline + LABEL_UP
    _text(canvas, left, up, trace.label, 9, BOLD)
    return trace.is_cut


def _draw(canvas: "Canvas", x: Sequence[float], y: Sequence[float]) -> None:
    """A line through points, to a hundredth of a millimetre. Written here: 20,000 calls of `lineTo` take 0.1 s."""
    from reportlab.pdfgen.pathobject import PDFPathObject

    start, *others = (f"{right:.2f} {up:.2f}" for right, up in zip(x, y, strict=True))
    canvas.drawPath(PDFPathObject(code=[f"n {start} m", *(f"{point} l" for point in others)]))


def _header(canvas: "Canvas", report: Resource) -> None:
    _text(canvas, PAPER_LEFT, 201.0, "12-lead ECG report", 13, BOLD)
    _text(canvas, PAPER_LEFT, 195.0, words.status(report), 10, BOLD)
    if words.is_silent(report):
        canvas.setFillColorRGB(*ALARM)
        _text(canvas, FINDINGS.left, 195.0, words.SILENT_WORDS, 10, BOLD)
        canvas.setFillColorRGB(*BLACK)


def _facts(report: Resource, recording: Recording, issued: datetime, device: Resource | None) -> Iterator[Line]:
    yield Line(f"Patient: {words.patient(report)}", bold=True)
    yield Line(f"Age: {words.age(recording.age)}; sex: {recording.sex.value}")
    yield Line(f"Recorded: {words.recorded(report, recording.recorded_at)}")
    yield Line(f"Analysed: {words.clock(issued)}")
    for label, number in words.order_numbers(report):
        yield Line(f"{label}: {number}")
    yield Line(f"Model: {words.model(report, device)}")
    for interpreter in words.interpreters(report):
        yield Line(f"Read by: {interpreter}")


def _intervals(measurements: Sequence[Resource]) -> Iterator[Line]:
    """Every interval, also one that could not be measured."""
    yield Line("Measurements", bold=True)
    for name, value in words.intervals(measurements):
        yield Line(f"{name}: {value}")


def _conclusion(report: Resource) -> Iterator[Line]:
    yield Line("Conclusion", bold=True)
    yield Line(words.conclusion(report))


def _actions(requests: Sequence[Resource]) -> Iterator[Line]:
    """The proposals, each with its reason and confidence. One that is no draft any more says so."""
    ranked = words.ranked(requests)
    yield Line("Proposed actions" if ranked else "No action is proposed.", bold=True)
    for request in ranked:
        status = request.get("status", "draft")
        remark = "" if status == "draft" else f" ({status})"
        yield Line(f"{words.urgency(request)}: {words.action(request)}{remark}", bold=True)
        yield Line(" ".join(words.notes(request)[:2]))


def _footer(canvas: "Canvas", report: Resource, issued: datetime, shown: Sequence[str]) -> None:
    _text(canvas, PAPER_LEFT, 12.6, "   |   ".join(shown), 7, PLAIN)
    _text(canvas, PAPER_LEFT, 9.0, words.DISCLAIMER, 7, PLAIN)
    issue = f"{words.name(report)}, version {words.version(report)}, of {words.clock(issued)}"
    _text(canvas, PAPER_LEFT, 5.4, f"{issue}   |   page 1 of 1   |   A4, print at 100 %", 7, PLAIN)


def _write(canvas: "Canvas", box: Box, lines: Sequence[Line], more: str) -> None:
    """Set lines into a box, smaller where they are many. What does not fit is counted, never dropped in silence."""
    for size in SIZES:
        room = int((box.top - box.bottom) / (size * LEADING / POINTS))
        wrapped = [Line(part, line.bold) for line in lines for part in _wrapped(line, size, box.width)]
        if len(wrapped) <= room:
            break
    else:
        left_out = len(wrapped) - room + 1
        wrapped[room - 1 :] = [Line(f"{left_out} more lines do not fit on this page: see {more}", bold=True)]
    for number, line in enumerate(wrapped):
        _text(canvas, box.left, box.top - number * size * LEADING / POINTS, line.text, size, line.font)


def _wrapped(line: Line, size: float, width: float) -> Iterator[str]:
    """Broken between words, and within one that is wider than the box."""
    from reportlab.lib.utils import simpleSplit
    from reportlab.pdfbase.pdfmetrics import stringWidth

    limit = width * POINTS
    for part in simpleSplit(_printable(line.text), line.font, size, limit):
        while stringWidth(part, line.font, size) > limit:
            fitting = next(n for n in range(len(part), 0, -1) if stringWidth(part[:n], line.font, size) <= limit)
            yield part[:fitting]
            part = part[fitting:]
        yield part


def _text(canvas: "Canvas", x: float, y: float, text: str, size: float, font: str) -> None:
    canvas.setFont(font, size / POINTS)
    canvas.drawString(x, y, _printable(text))


def _printable(text: str) -> str:
    """In the characters of WinAnsiEncoding, which are those of cp1252; the others by their code points."""
    readable = "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text.translate(_SPELLED))
    return readable.encode("cp1252", "backslashreplace").decode("cp1252")
