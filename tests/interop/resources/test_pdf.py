import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pypdf import PdfReader
from pypdf.generic import ContentStream

from actions.analysis import Analysis, Mode
from actions.conclusion import NOT_ASSESSED
from inference.formats import wfdb
from inference.recording import LEADS, Recording, Sex
from interop.resources import tracing
from interop.resources.origin import Origin
from interop.resources.pdf import report_pdf
from interop.resources.report import render
from tests.fakes import CANDIDATE, NOW, SequentialIds, make_prediction
from tests.interop.resources.cases import FILLER, ORDER, make_analysis, uninterpretable

RATE = 500.0
MILLIMETRE = 25.4 / 72  # of a point
SUBJECT = {"reference": "Patient/1", "identifier": {"system": "urn:oid:1.2", "value": "77"}, "display": "Doe, Jane"}
ORIGIN = Origin(observation=None, subject=SUBJECT, placer_order_number=ORDER, filler_order_number=FILLER)


def flat(seconds: float = 10.0, rate: float = RATE, **given: Any) -> Recording:
    return with_signal(np.zeros((12, round(seconds * rate))), rate, **given)


def with_signal(signal: NDArray[np.floating], rate: float = RATE, **given: Any) -> Recording:
    fields: dict[str, Any] = {"age": 60.5, "sex": Sex.FEMALE, "recorded_at": NOW - timedelta(minutes=10)}
    return Recording(signal.astype(np.float32), rate, **fields | given)


def page(
    recording: Recording | None = None, analysis: Analysis | None = None, origin: Origin = ORIGIN, **report: Any
) -> bytes:
    """The page of an analysis. report: members of the DiagnosticReport to replace; None takes one away."""
    recording = recording or flat()
    rendered = render(
        analysis or make_analysis(), recording=recording, origin=origin, observation_id="ecg-1", ids=SequentialIds()
    )
    document = orjson.loads(rendered.report.document.content) | report
    return report_pdf(
        recording=recording,
        report={name: value for name, value in document.items() if value is not None},
        requests=[orjson.loads(item.document.content) for item in rendered.service_requests],
        measurements=[orjson.loads(item.document.content) for item in rendered.observations],
        issued=NOW,
        device=rendered.devices[1] if len(rendered.devices) > 1 else None,
    )


PROPOSED: dict[str, Any] = {"priority": "stat", "note": [{"text": "None"}]}


def with_requests(*requests: dict[str, Any], issued: datetime = NOW) -> bytes:
    """The page of a bare report with these ServiceRequests."""
    report = {"resourceType": "DiagnosticReport", "id": "1", "status": "preliminary"}
    return report_pdf(recording=flat(), report=report, requests=requests, measurements=[], issued=issued)


def words(content: bytes) -> str:
    """The text of the page, its lines joined: where they break does not matter."""
    return " ".join(PdfReader(BytesIO(content)).pages[0].extract_text().split())


@dataclass(frozen=True)
class Stroke:
    """A drawn line in millimetres of the page, with its width. clipped: to what rectangle (left, bottom, width,
    height)."""

    points: NDArray[np.float64]
    width: float
    clipped: tuple[float, ...] | None

    @property
    def size(self) -> tuple[float, float]:
        across, up = np.ptp(self.points, axis=0).tolist()
        return round(across, 2), round(up, 2)


@dataclass(frozen=True)
class State:
    """What the operators q and Q save and restore."""

    scale: NDArray[np.float64]
    width: float = 1.0
    clip: tuple[float, ...] | None = None


class Pen:
    """Follows the operators of a page (ISO 32000-1, table 51 and 8.5) and keeps every line that is stroked."""

    def __init__(self) -> None:
        self.state, self.saved, self.found = State(np.eye(3)), list[State](), list[Stroke]()
        self.paths = list[list[list[float]]]()
        self.rectangle: tuple[float, ...] | None = None

    def take(self, operator: str, numbers: list[float]) -> None:
        draw = getattr(self, {"W*": "W"}.get(operator, operator), None)
        if draw is not None:
            draw(numbers)

    def q(self, _: list[float]) -> None:
        self.saved.append(self.state)

    def Q(self, _: list[float]) -> None:  # noqa: N802 - operators are called so
        self.state = self.saved.pop()

    def cm(self, numbers: list[float]) -> None:
        a, b, c, d, e, f = numbers
        self.state = replace(self.state, scale=np.array([[a, b, 0], [c, d, 0], [e, f, 1]]) @ self.state.scale)

    def w(self, numbers: list[float]) -> None:
        self.state = replace(self.state, width=numbers[0])

    def re(self, numbers: list[float]) -> None:
        self.rectangle = tuple(numbers)

    def W(self, _: list[float]) -> None:  # noqa: N802
        self.state = replace(self.state, clip=self.rectangle)

    def n(self, _: list[float]) -> None:
        self.paths = []

    def m(self, numbers: list[float]) -> None:
        self.paths.append([numbers])

    def l(self, numbers: list[float]) -> None:  # noqa: E743
        self.paths[-1].append(numbers)

    def S(self, _: list[float]) -> None:  # noqa: N802
        for path in self.paths:
            points = np.column_stack([np.array(path), np.ones(len(path))]) @ self.state.scale
            width = self.state.width * float(self.state.scale[0, 0]) * MILLIMETRE
            self.found.append(Stroke(points[:, :2] * MILLIMETRE, round(width, 3), self.state.clip))
        self.paths = []


def strokes(content: bytes) -> list[Stroke]:
    """Every stroked line of the page."""
    reader, pen = PdfReader(BytesIO(content)), Pen()
    for operands, operator in ContentStream(reader.pages[0].get_contents(), reader).operations:
        pen.take(operator.decode(), [float(operand) for operand in operands if isinstance(operand, int | float)])
    return pen.found


def traces(content: bytes) -> list[Stroke]:
    """The lines of leads: those in the width of a trace that are neither pulses nor marks of columns."""
    return [stroke for stroke in strokes(content) if stroke.width == tracing.TRACE and len(stroke.points) not in (2, 6)]


def spikes(lead: str, seconds: Sequence[float], millivolts: float = 1.0, rate: float = RATE) -> NDArray[np.float64]:
    signal = np.zeros((12, round(10 * rate)))
    signal[LEADS.index(lead), [round(at * rate) for at in seconds]] = millivolts
    return signal


def test_the_page_is_one_a4_in_landscape() -> None:
    reader = PdfReader(BytesIO(page()))
    assert len(reader.pages) == 1
    box = reader.pages[0].mediabox
    assert (float(box.width) * MILLIMETRE, float(box.height) * MILLIMETRE) == pytest.approx((297, 210), abs=0.01)


def test_a_second_is_25_mm_and_a_millivolt_10_mm() -> None:
    strip = traces(page(with_signal(spikes("II", (3.0, 4.0, 8.0)))))[-1]
    peaks = strip.points[strip.points[:, 1] > strip.points[:, 1].min() + 5]
    np.testing.assert_allclose(np.diff(peaks[:, 0]), (25, 100), atol=0.02)
    assert strip.size[1] == pytest.approx(10, abs=0.02)


def test_a_pulse_of_1_mv_and_200_ms_stands_before_each_row_on_the_lines_of_the_paper() -> None:
    drawn = strokes(page())
    pulses = [stroke for stroke in drawn if stroke.width == tracing.TRACE and len(stroke.points) == 6]
    assert len(pulses) == 4
    lines = {round(float(stroke.points[0, 0]), 2) for stroke in drawn if stroke.width == tracing.MAJOR_LINE}
    for pulse in pulses:
        up, down = pulse.points[1:3], pulse.points[3:5]
        assert up[1, 1] - up[0, 1] == pytest.approx(10, abs=0.02)
        assert down[0, 0] - up[0, 0] == pytest.approx(5, abs=0.02)
        assert round(float(up[0, 0]), 2) in lines
        assert pulse.points[:, 0].max() < tracing.TIME_ZERO


@pytest.mark.parametrize(("width", "step"), [(tracing.MINOR_LINE, 1.0), (tracing.MAJOR_LINE, 5.0)])
def test_the_paper_has_lines_each_millimetre_and_each_five(width: float, step: float) -> None:
    lines = [stroke.points for stroke in strokes(page()) if stroke.width == width]
    upright = sorted(float(line[0, 0]) for line in lines if np.ptp(line[:, 0]) < 0.01)
    level = sorted(float(line[0, 1]) for line in lines if np.ptp(line[:, 1]) < 0.01)
    for positions, length in ((upright, tracing.PAPER_WIDTH), (level, tracing.PAPER_HEIGHT)):
        np.testing.assert_allclose(np.diff(positions), step, atol=0.02)
        assert positions[-1] - positions[0] == pytest.approx(length, abs=0.02)


@pytest.mark.parametrize("lead", LEADS)
def test_a_lead_shows_its_own_column_of_the_recording(lead: str) -> None:
    row, column = next((r, leads.index(lead)) for r, leads in enumerate(tracing.ROWS) if lead in leads)
    middle = column * 2.5 + 1.25
    drawn = traces(page(with_signal(spikes(lead, (middle,)))))
    high = [index for index, trace in enumerate(drawn[:12]) if trace.size[1] > 5]
    assert high == [row * 4 + column]
    peak = drawn[high[0]].points[drawn[high[0]].points[:, 1].argmax()]
    expected = (tracing.TIME_ZERO + middle * 25, tracing.BASELINES[row] + 10)
    np.testing.assert_allclose(peak, expected, atol=0.02)


def test_every_lead_is_named_and_lead_ii_twice() -> None:
    text = PdfReader(BytesIO(page())).pages[0].extract_text().splitlines()
    found = [line.strip() for line in text if line.strip() in LEADS]
    assert sorted(found) == sorted([*LEADS, "II"])


def test_a_gap_of_invalid_samples_stays_empty() -> None:
    signal = np.zeros((12, 5000))
    signal[1, 2000:3000] = np.nan
    strip = [trace.points[:, 0] for trace in traces(page(with_signal(signal)))[-2:]]
    assert strip[0].max() == pytest.approx(tracing.TIME_ZERO + 1999 / RATE * 25, abs=0.02)
    assert strip[1].min() == pytest.approx(tracing.TIME_ZERO + 3000 / RATE * 25, abs=0.02)


def test_a_lead_without_any_valid_sample_is_told() -> None:
    signal = np.zeros((12, 5000))
    signal[LEADS.index("V4")] = np.nan
    assert "V4 no signal" in words(page(with_signal(signal)))
    assert "no signal" not in words(page())


def test_an_offset_of_a_lead_does_not_move_it_off_the_paper() -> None:
    drawn = traces(page(with_signal(np.full((12, 5000), 7.0))))
    assert drawn[0].points[:, 1].tolist() == pytest.approx([tracing.BASELINES[0]] * 1250, abs=0.02)


def test_what_goes_beyond_the_paper_is_cut_at_its_edge_and_told() -> None:
    content = page(with_signal(spikes("I", (1.0,), millivolts=9.0)))
    assert "BEYOND THE PAPER ARE CUT OFF" in words(content)
    assert "CUT OFF" not in words(page(with_signal(spikes("I", (1.0,)))))
    paper = (tracing.PAPER_LEFT, tracing.PAPER_BOTTOM, tracing.PAPER_WIDTH, tracing.PAPER_HEIGHT)
    assert {trace.clipped for trace in traces(content)} == {paper}


@pytest.mark.parametrize("rate", [1000.0, 2000.0, 32000.0])
def test_a_spike_of_one_sample_is_as_high_at_any_rate(rate: float) -> None:
    strip = traces(page(with_signal(spikes("II", (4.0321,), rate=rate), rate)))[-1]
    assert strip.size[1] == pytest.approx(10, abs=0.02)
    assert len(strip.points) <= 10 * tracing.MAX_POINTS_PER_SECOND + 3


def test_a_short_recording_shows_its_beginning_in_every_column() -> None:
    signal = spikes("V6", (1.0,))[:, :1500]
    content = page(with_signal(signal))
    high = [trace for trace in traces(content) if trace.size[1] > 5]
    assert len(high) == 1
    assert "all columns begin at the same time" in words(content)


def test_a_long_recording_shows_ten_seconds_and_says_so() -> None:
    content = page(flat(seconds=30))
    assert "the first 10 of 30 s" in words(content)
    assert max(float(trace.points[:, 0].max()) for trace in traces(content)) < tracing.TIME_ZERO + 250.1


@pytest.mark.parametrize("samples", [1, 2, 5, 1249, 4999])
def test_a_recording_of_any_length_gives_a_page(samples: int) -> None:
    assert words(page(with_signal(np.zeros((12, samples)))))


def test_a_reader_finds_everything_in_the_text() -> None:
    text = words(page())
    for expected in (
        "PRELIMINARY - AI-generated, to be confirmed by a clinician",
        "Patient: 77 (urn:oid:1.2), Patient/1",
        "Age: 60 years; sex: female",
        "Recorded: 2026-03-02 09:20:00 UTC",
        "Order (placer): P-77 (urn:oid:1.2.4)",
        "Order (filler): F-88",
        "Model: fake-resnet 1.2.3 (champion)",
        "Heart rate: 72.3 /min",
        "PR interval: 160 ms",
        "QRS duration: 92 ms",
        "QTc interval (Fridericia): 411 ms",
        "Frontal QRS axis: -12 deg",
        "Findings: myocardial infarction (probability 0.83).",
        "The age is unknown; adult is assumed.",
        "IMMEDIATE: Activate cath lab",
        "ROUTINE: Check electrolytes",
        "25 mm/s",
        "10 mm/mV",
        NOT_ASSESSED,
        "no diagnosis and no order",
        "DiagnosticReport/018f0000-0000-7000-8000-000000000abc, version 1",
    ):
        assert expected in text


def test_the_name_that_the_sender_gave_is_not_shown() -> None:
    assert "Doe" not in words(page())


def test_the_most_urgent_action_comes_first() -> None:
    turned = make_analysis(recommendations=tuple(reversed(make_analysis().recommendations)))
    text = words(page(analysis=turned))
    assert text.index("IMMEDIATE") < text.index("ROUTINE")


@pytest.mark.parametrize(
    ("status", "expected"),
    [("draft", "IMMEDIATE: Stress test None"), ("active", "IMMEDIATE: Stress test (active)")],
)
def test_an_action_says_what_became_of_it(status: str, expected: str) -> None:
    assert expected in words(with_requests({"status": status, "code": {"text": "Stress test"}, **PROPOSED}))


def test_a_revoked_action_comes_last_and_one_entered_in_error_is_none() -> None:
    revoked = {"status": "revoked", "code": {"text": "Revoked one"}, **PROPOSED}
    draft = {"status": "draft", "code": {"text": "Draft one"}, "priority": "routine"}
    mistake = {"status": "entered-in-error", "code": {"text": "Mistake"}, **PROPOSED}
    text = words(with_requests(revoked, draft, mistake))
    assert text.index("Draft one") < text.index("Revoked one (revoked)")
    assert "Mistake" not in text
    assert "No action is proposed." in words(with_requests(mistake))


def test_who_read_the_report_is_named() -> None:
    reader = {"identifier": {"system": "urn:oid:1.9", "value": "88"}, "reference": "Practitioner/2", "display": "Dr X"}
    text = words(page(status="final", resultsInterpreter=[reader]))
    assert "Read by: 88 (urn:oid:1.9), Practitioner/2" in text
    assert "Dr X" not in text


def test_a_measurement_that_was_not_made_is_told() -> None:
    text = words(page(analysis=uninterpretable()))
    assert "PR interval: not measured" in text
    assert "CANCELLED" in text
    assert "Model: none was run" in text
    assert "No action is proposed." in text


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("entered-in-error", "WITHDRAWN"),
        ("final", "FINAL - read by a clinician"),
        ("amended", "AMENDED - changed by a clinician"),
        ("partial", "PARTIAL - AI-generated"),
    ],
)
def test_the_status_is_in_words(status: str, expected: str) -> None:
    text = words(page(status=status))
    assert expected in text
    assert "PRELIMINARY" not in text


def test_a_silent_report_is_marked() -> None:
    assert "SILENT MODE - not for clinical use" in words(page(analysis=make_analysis(mode=Mode.SILENT)))
    assert "SILENT" not in words(page())


def test_a_candidate_and_a_waiver_are_named() -> None:
    waived = replace(CANDIDATE, waived="fairness not assessed")
    text = words(page(analysis=make_analysis(prediction=make_prediction(waived, MI=0.83))))
    assert "Model: fake-resnet 1.3.0 (candidate; fairness not assessed)" in text


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"effectiveDateTime": "2026-03-02"}, "Recorded: 2026-03-02 Analysed"),
        ({"effectiveDateTime": "2026-03"}, "Recorded: 2026-03 Analysed"),
        ({"effectiveDateTime": "2026-03-02T10:20:00.120+01:00"}, "Recorded: 2026-03-02 10:20:00 UTC+01:00"),
        ({"effectiveDateTime": None, "effectivePeriod": {"start": "2026-03-02"}}, "Recorded: 2026-03-02 Analysed"),
        ({"effectiveDateTime": None}, "Recorded: 2026-03-02 09:20:00 UTC"),
    ],
)
def test_the_time_is_as_precise_as_the_report(stated: dict[str, Any], expected: str) -> None:
    assert expected in words(page(**stated))


def test_what_is_not_known_is_said_to_be_not_stated() -> None:
    nobody = Origin(observation=None, subject=None)
    recording = flat(age=None, sex=Sex.UNKNOWN, recorded_at=None)
    text = words(page(recording, make_analysis(recorded_at=None), nobody))
    for expected in ("Patient: not identified", "Age: not stated; sex: unknown", "Recorded: not stated"):
        assert expected in text


def test_an_infant_has_an_age_in_months() -> None:
    assert "Age: 18 months" in words(page(flat(age=1.5)))


def test_text_that_does_not_fit_is_counted() -> None:
    text = words(page(conclusion="\n".join(f"Line {number}." for number in range(60))))
    assert "more lines do not fit on this page: see DiagnosticReport/" in text
    assert "more lines" not in words(page())


def test_a_word_wider_than_its_column_is_broken_and_kept_whole() -> None:
    subject = {"reference": "https://hospital.example/fhir/Patient/" + "x1" * 32}
    text = words(page(subject=subject)).replace(" ", "")
    assert subject["reference"] in text


def test_a_name_in_another_script_is_written_by_its_code_points() -> None:
    subject = {"identifier": {"value": "Жан-7"}}
    assert r"\u0416\u0430\u043d-7" in words(page(subject=subject))


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_gives_a_page(text: str) -> None:
    content = page(flat(seconds=0.1), conclusion=text, subject={"identifier": {"value": text}})
    assert "Conclusion" in words(content)


def test_only_fonts_that_every_reader_has_are_used() -> None:
    fonts = PdfReader(BytesIO(page())).pages[0]["/Resources"]["/Font"].values()  # type: ignore[index]
    described = [font.get_object() for font in fonts]
    assert {font["/BaseFont"] for font in described} == {"/Helvetica", "/Helvetica-Bold"}
    assert {font["/Encoding"] for font in described} == {"/WinAnsiEncoding"}


def test_the_file_says_when_the_report_was_issued() -> None:
    metadata = PdfReader(BytesIO(page())).metadata
    assert metadata is not None
    assert metadata.creation_date == NOW


@pytest.mark.parametrize("rate", [500.0, 1000.0, 32000.0])
def test_a_page_full_of_noise_stays_under_300_kb(rate: float) -> None:
    noise = np.random.default_rng(1).standard_normal((12, round(10 * rate)))
    assert len(page(with_signal(noise, rate))) < 300_000


def test_a_real_recording_gives_a_small_page(examples: Path) -> None:
    recording = wfdb.read(examples / "00184_hr.hea")
    content = page(recording)
    assert len(content) < 120_000
    strip = traces(content)[-1]
    signal = recording.signal[1].astype(np.float64)
    expected = tracing.STRIP_BASELINE + (signal - np.median(signal)) * 10
    np.testing.assert_allclose(strip.points[:, 1], expected, atol=0.02)


def test_the_same_input_gives_the_same_bytes_in_any_process() -> None:
    code = (
        "import sys, hashlib; import interop.resources.pdf;"
        "assert not any(name.startswith('reportlab') for name in sys.modules);"
        "from tests.interop.resources.test_pdf import page; print(hashlib.sha256(page()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone},
            cwd=Path(__file__).parents[3],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(found) == 1
    assert page() == page()


def test_another_issue_gives_another_file() -> None:
    later = datetime(2026, 3, 2, 11, tzinfo=timezone(timedelta(hours=1)))
    content = with_requests(
        {"priority": "asap", "code": {"text": "Soon"}}, {"code": {"text": "Whenever"}}, issued=later
    )
    text, metadata = words(content), PdfReader(BytesIO(content)).metadata
    for expected in ("ASAP: Soon", "ROUTINE: Whenever", "Analysed: 2026-03-02 11:00:00 UTC+01:00"):
        assert expected in text
    assert metadata is not None
    assert metadata.creation_date == datetime(2026, 3, 2, 10, tzinfo=UTC)
