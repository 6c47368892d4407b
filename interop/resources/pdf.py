"""A report with its tracing as one page for clinicians: A4 landscape, vector graphics, true to scale.

The tracing lies on millimetre paper at 25 mm/s and 10 mm/mV: three rows of four leads with 2.5 s each, then lead II
for 10 s, every row after its calibration pulse of 1 mV and 200 ms. All coordinates are millimetres from the lower left
corner of the page.

Text is set in Helvetica, one of the 14 fonts that every reader of PDF brings (ISO 32000-1, 9.6.2.2). It holds Latin
script; another character is written as its code point (`\\u0416`), because two patients whose names lack different
letters would look like one. The same input gives the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actions.conclusion import NOT_ASSESSED
from inference.recording import LEADS, Recording
from interop.resources.codes import OWN_MODEL_STATUS_EXTENSION, OWN_MODEL_WAIVER_EXTENSION, SILENT
from interop.resources.findings import MEASUREMENTS
from interop.resources.requests import PRIORITIES
from interop.resources.times import Precision, moment

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

Resource = Mapping[str, Any]

POINTS = 72 / 25.4  # of a millimetre
PAGE = (297.0, 210.0)
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

MINOR_LINE, MAJOR_LINE, TRACE = 0.1, 0.2, 0.25  # widths, mm
PINK, RED, BLACK, ALARM = (0.98, 0.85, 0.85), (0.93, 0.66, 0.66), (0.0, 0.0, 0.0), (0.75, 0.0, 0.0)
PLAIN, BOLD = "Helvetica", "Helvetica-Bold"
SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0)  # points; the first that lets a text fit
LEADING = 1.2

# DiagnosticReport.status in words; another status is named as it is.
STATUS_WORDS = {
    "preliminary": "PRELIMINARY - AI-generated, to be confirmed by a clinician",
    "final": "FINAL - read by a clinician",
    "amended": "AMENDED - changed by a clinician after it was final",
    "corrected": "CORRECTED - by a clinician, after it was final",
    "appended": "APPENDED - added to by a clinician after it was final",
    "cancelled": "CANCELLED - the ECG could not be interpreted automatically",
    "entered-in-error": "WITHDRAWN - entered in error, not to be used",
}
SILENT_WORDS = "SILENT MODE - not for clinical use"
# FHIR's request-priority, the most urgent first; a request without one is routine.
PRIORITY_ORDER = ("stat", "asap", "urgent", "routine")
URGENCY_WORDS = {priority: urgency.value.upper() for urgency, priority in PRIORITIES.items()}
ORDER_NUMBERS = {"PLAC": "Order (placer)", "FILL": "Order (filler)"}
DISCLAIMER = (
    "Clinical decision support: no diagnosis and no order. Intended for resting 12-lead ECGs of adults. A clinician "
    f"has to confirm it, with the tracing and the patient in view. {NOT_ASSESSED}"
)

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


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one lead on the paper: samples start to stop, the first of them at `left`."""

    lead: str
    left: float
    baseline: float
    start: int
    stop: int


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
    canvas.setTitle(f"12-lead ECG, {_name(report)}")
    canvas.setAuthor("automatic analysis")
    canvas.setSubject(_status(report))
    canvas.scale(POINTS, POINTS)
    _paper(canvas)
    is_cut = _tracing(canvas, recording)
    _header(canvas, report)
    _write(canvas, FACTS, list(_facts(report, recording, issued, device)), _name(report))
    _write(canvas, INTERVALS, list(_intervals(measurements)), _name(report))
    _write(canvas, FINDINGS, [*_conclusion(report), *_actions(requests)], _name(report))
    _footer(canvas, report, issued, _legend(recording, is_cut))
    canvas.showPage()
    canvas.save()
    return content.getvalue()


def _paper(canvas: "Canvas") -> None:
    """Lines each millimetre, stronger ones each 5 mm (200 ms, 0.5 mV)."""
    for width, colour, step in ((MINOR_LINE, PINK, 1), (MAJOR_LINE, RED, 5)):
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
    for baseline in (*BASELINES, STRIP_BASELINE):
        _pulse(canvas, baseline)
    cut = [_segment(canvas, recording, segment) for segment in _segments(recording)]
    canvas.restoreState()
    return any(cut)


def _pulse(canvas: "Canvas", baseline: float) -> None:
    """1 mV for 200 ms, its edges on the lines of the paper."""
    left, right, top = PAPER_LEFT + 5, PAPER_LEFT + 5 + 0.2 * SPEED, baseline + 1.0 * GAIN
    _draw(
        canvas, [left - 2.5, left, left, right, right, right + 2.5], [baseline, baseline, top, top, baseline, baseline]
    )


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


def _segment(canvas: "Canvas", recording: Recording, segment: Segment) -> bool:
    """Draw one piece with the name of its lead; an invalid sample is a gap. True when it leaves the paper."""
    row = recording.signal[LEADS.index(segment.lead)].astype(np.float64)
    valid = row[np.isfinite(row)]
    level = float(np.median(valid)) if valid.size else 0.0
    y = segment.baseline + (row[segment.start : segment.stop] - level) * GAIN
    x = segment.left + np.arange(len(y)) * SPEED / recording.sampling_rate
    for run in _runs(np.isfinite(y)):
        kept = run.start + _thinned(y[run], int(2 * recording.sampling_rate // MAX_POINTS_PER_SECOND))
        # The page is far smaller than the numbers that PDF allows.
        _draw(canvas, x[kept].tolist(), np.clip(y[kept], -1000, 1000).tolist())
    _mark(canvas, segment, "" if np.isfinite(y).any() else " no signal")
    return bool((y > PAPER_TOP).any() or (y < PAPER_BOTTOM).any())


def _mark(canvas: "Canvas", segment: Segment, remark: str) -> None:
    """The lead's name, and where a column begins."""
    if segment.left > TIME_ZERO:
        canvas.lines(
            [(segment.left, segment.baseline + end, segment.left, segment.baseline + end + 3) for end in (5, -8)]
        )
    _text(canvas, segment.left + 1.2, segment.baseline + 9.0, segment.lead + remark, 9, BOLD)


def _runs(valid: NDArray[np.bool_]) -> Iterator[slice]:
    """The stretches of valid samples."""
    edges = np.flatnonzero(np.diff(valid, prepend=False, append=False))
    yield from (slice(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def _thinned(values: NDArray[np.float64], interval: int) -> NDArray[np.intp]:
    """Which samples to draw: the first, the last, the lowest and the highest of each interval (2: all of them)."""
    whole = len(values) // interval * interval if interval > 2 else 0
    blocks = values[:whole].reshape(-1, max(interval, 1))
    starts = np.arange(len(blocks)) * interval
    rest = np.arange(whole, len(values))
    return np.unique(np.concatenate([[0, len(values) - 1], starts + blocks.argmin(1), starts + blocks.argmax(1), rest]))


def _draw(canvas: "Canvas", x: Sequence[float], y: Sequence[float]) -> None:
    """A line through points, to a hundredth of a millimetre. Written here: 20,000 calls of `lineTo` take 0.1 s."""
    from reportlab.pdfgen.pathobject import PDFPathObject

    start, *others = (f"{right:.2f} {up:.2f}" for right, up in zip(x, y, strict=True))
    canvas.drawPath(PDFPathObject(code=[f"n {start} m", *(f"{point} l" for point in others)]))


def _header(canvas: "Canvas", report: Resource) -> None:
    _text(canvas, PAPER_LEFT, 201.0, "12-lead ECG report", 13, BOLD)
    _text(canvas, PAPER_LEFT, 195.0, _status(report), 10, BOLD)
    tags = report.get("meta", {}).get("tag", ())
    if any(tag.get("code") == SILENT for tag in tags):
        canvas.setFillColorRGB(*ALARM)
        _text(canvas, FINDINGS.left, 195.0, SILENT_WORDS, 10, BOLD)
        canvas.setFillColorRGB(*BLACK)


def _facts(report: Resource, recording: Recording, issued: datetime, device: Resource | None) -> Iterator[Line]:
    yield Line(f"Patient: {_who(report.get('subject', {})) or 'not identified'}", bold=True)
    yield Line(f"Age: {_age(recording.age)}; sex: {recording.sex.value}")
    yield Line(f"Recorded: {_recorded(report, recording)}")
    yield Line(f"Analysed: {_clock(issued)}")
    for identifier in report.get("identifier", ()):
        codes = [coding.get("code") for coding in identifier.get("type", {}).get("coding", ())]
        for label in (ORDER_NUMBERS[code] for code in codes if code in ORDER_NUMBERS):
            yield Line(f"{label}: {_identifier(identifier)}")
    yield Line(f"Model: {_model(report, device)}")
    for interpreter in report.get("resultsInterpreter", ()):
        yield Line(f"Read by: {_who(interpreter) or 'not identified'}")


def _who(reference: Resource) -> str:
    """Identifier and address of somebody; a display name may be anybody's."""
    return ", ".join(filter(None, (_identifier(reference.get("identifier", {})), reference.get("reference"))))


def _identifier(identifier: Resource) -> str:
    value, system = identifier.get("value", ""), identifier.get("system")
    return f"{value} ({system})" if value and system else value


def _age(age: float | None) -> str:
    if age is None:
        return "not stated"
    return f"{int(age)} years" if age >= 2 else f"{int(age * 12)} months"


def _recorded(report: Resource, recording: Recording) -> str:
    """As precisely as the report says it: a day without a time gets none."""
    stated = report.get("effectiveDateTime") or report.get("effectivePeriod", {}).get("start")
    if stated:
        when = moment(stated)
        return _clock(when.at) if when.precision is Precision.TIME else str(stated)
    return _clock(recording.recorded_at) if recording.recorded_at else "not stated"


def _clock(at: datetime) -> str:
    offset = f"{at:%z}"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" + (f"{offset[:3]}:{offset[3:5]}" if at.utcoffset() else "")


def _model(report: Resource, device: Resource | None) -> str:
    if device is None:
        return "none was run" if report.get("status") == "cancelled" else "named in the conclusion"
    extensions = {extension["url"]: extension for extension in report.get("extension", ())}
    status = extensions.get(OWN_MODEL_STATUS_EXTENSION, {}).get("valueCode")
    waived = extensions.get(OWN_MODEL_WAIVER_EXTENSION, {}).get("valueString")
    names = [name["name"] for name in device.get("deviceName", ())]
    remarks = "; ".join(filter(None, (status, waived)))
    return " ".join([*names[:1], device.get("modelNumber", ""), f"({remarks})" if remarks else ""]).strip()


def _intervals(measurements: Sequence[Resource]) -> Iterator[Line]:
    """Every interval, also one that could not be measured."""
    yield Line("Measurements", bold=True)
    values = {item.get("code", {}).get("text"): item.get("valueQuantity") for item in measurements}
    for measurement in MEASUREMENTS:
        found = values.get(measurement.text)
        value = f"{found['value']:g} {found.get('unit', '')}" if found else "not measured"
        yield Line(f"{measurement.text}: {value}")


def _conclusion(report: Resource) -> Iterator[Line]:
    yield Line("Conclusion", bold=True)
    yield Line(report.get("conclusion", "none is stated"))


def _actions(requests: Sequence[Resource]) -> Iterator[Line]:
    """The proposals, the most urgent first and what was revoked last, each with its reason and confidence. One that is
    no draft any more says so; one that was entered in error is none."""
    valid = [request for request in requests if request.get("status") != "entered-in-error"]
    yield Line("Proposed actions" if valid else "No action is proposed.", bold=True)
    for request in sorted(valid, key=_rank):
        urgency = URGENCY_WORDS.get(_priority(request), _priority(request).upper())
        status = request.get("status", "draft")
        remark = "" if status == "draft" else f" ({status})"
        yield Line(f"{urgency}: {request.get('code', {}).get('text', 'not named')}{remark}", bold=True)
        yield Line(" ".join(note["text"] for note in request.get("note", ())[:2]))


def _rank(request: Resource) -> tuple[bool, int]:
    return request.get("status") == "revoked", PRIORITY_ORDER.index(_priority(request))


def _priority(request: Resource) -> str:
    return str(request.get("priority", "routine"))


def _legend(recording: Recording, is_cut: bool) -> str:
    times = "the columns follow each other" if _is_successive(recording) else "all columns begin at the same time"
    length = f"the first {STRIP_SECONDS:g} of {recording.duration:g} s" if recording.duration > STRIP_SECONDS else ""
    cut = "PARTS BEYOND THE PAPER ARE CUT OFF" if is_cut else ""
    shown = (f"{SPEED:g} mm/s", f"{GAIN:g} mm/mV", "no filter; median of each lead on its baseline", times, length, cut)
    return "   |   ".join(filter(None, shown))


def _footer(canvas: "Canvas", report: Resource, issued: datetime, legend: str) -> None:
    version = report.get("meta", {}).get("versionId", "not stated")
    _text(canvas, PAPER_LEFT, 12.6, legend, 7, PLAIN)
    _text(canvas, PAPER_LEFT, 9.0, DISCLAIMER, 7, PLAIN)
    name = f"{_name(report)}, version {version}, of {_clock(issued)}   |   page 1 of 1   |   A4, print at 100 %"
    _text(canvas, PAPER_LEFT, 5.4, name, 7, PLAIN)


def _name(report: Resource) -> str:
    return f"DiagnosticReport/{report.get('id', '')}"


def _status(report: Resource) -> str:
    status = report.get("status", "unknown")
    return STATUS_WORDS.get(status, f"{status.upper()} - AI-generated")


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
