"""The drawing, read back as a browser reads it: every number in millimetres of the view box."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from inference.recording import LEADS, Recording
from interop.pages.svg import Drawing, ecg_svg
from interop.resources.tracing import ROWS

SVG = "{http://www.w3.org/2000/svg}"
RATE = 500.0
TIME_ZERO = 15.0  # from the left edge of the paper
ROW_DOWN, STRIP_DOWN = (15.0, 45.0, 75.0), 105.0


@dataclass(frozen=True)
class Stroke:
    """A stroked path: points in mm from the upper left corner, and its width in mm."""

    name: str
    points: NDArray[np.float64]
    width: float


def with_signal(signal: NDArray[np.floating], rate: float = RATE) -> Recording:
    return Recording(signal.astype(np.float32), rate)


def spikes(lead: str, seconds: tuple[float, ...], millivolts: float = 1.0) -> Recording:
    signal = np.zeros((12, 5000))
    signal[LEADS.index(lead), [round(at * RATE) for at in seconds]] = millivolts
    return with_signal(signal)


def parsed(drawing: Drawing) -> ET.Element:
    return ET.fromstring(drawing.svg)


def strokes(recording: Recording) -> list[Stroke]:
    """Every line of a lead, a pulse or a divider."""
    group = next(one for one in parsed(ecg_svg(recording)).iter(f"{SVG}g") if "transform" in one.attrib)
    scale = float(group.attrib["transform"].removeprefix("scale(").removesuffix(")"))
    found = []
    for path in group.iter(f"{SVG}path"):
        start, _, rest = path.attrib["d"].removeprefix("M").partition("l")
        steps = np.array([*map(float, start.split()), *map(float, rest.split())]).reshape(-1, 2)
        width = float(group.attrib["stroke-width"]) * scale
        found.append(Stroke(path.attrib["data-of"], steps.cumsum(axis=0) * scale, width))
    return found


def of(name: str, recording: Recording) -> list[Stroke]:
    return [stroke for stroke in strokes(recording) if stroke.name == name]


def test_its_size_is_in_millimetres_and_so_is_its_view_box() -> None:
    root = parsed(ecg_svg(with_signal(np.zeros((12, 5000)))))
    assert (root.attrib["width"], root.attrib["height"], root.attrib["viewBox"]) == ("270mm", "120mm", "0 0 270 120")


def test_a_second_is_25_mm_and_a_millivolt_10_mm() -> None:
    (_, strip) = of("II", spikes("II", (3.0, 4.0, 8.0)))
    peaks = strip.points[strip.points[:, 1] < strip.points[:, 1].max() - 5]
    np.testing.assert_allclose(np.diff(peaks[:, 0]), (25, 100), atol=0.011)
    assert np.ptp(strip.points[:, 1]) == pytest.approx(10, abs=0.011)


def test_a_step_of_1_mv_goes_up_by_10_mm() -> None:
    signal = np.zeros((12, 5000))
    signal[LEADS.index("V1"), 3300:] = 1.0  # the median stays 0
    (drawn,) = of("V1", with_signal(signal))
    before, after = drawn.points[0], drawn.points[-1]
    assert before[1] - after[1] == pytest.approx(10, abs=0.011)
    assert before[1] == pytest.approx(ROW_DOWN[0], abs=0.011)


def test_the_pulses_are_1_mv_high_and_200_ms_wide_on_the_lines_of_the_paper() -> None:
    drawn = of("pulse", with_signal(np.zeros((12, 5000))))
    assert [stroke.points[0, 1] for stroke in drawn] == pytest.approx([*ROW_DOWN, STRIP_DOWN])
    for stroke in drawn:
        (left, bottom), (_, top) = stroke.points[1], stroke.points[2]
        assert (bottom - top, stroke.points[3, 0] - left) == pytest.approx((10, 5))
        assert left % 5 == pytest.approx(0)
        assert stroke.points[:, 0].max() < TIME_ZERO


def test_what_is_rounded_does_not_add_up() -> None:
    noise = np.random.default_rng(1).standard_normal((12, 5000))
    (_, strip) = of("II", with_signal(noise))
    row = noise[1].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(strip.points[:, 0], TIME_ZERO + np.arange(5000) * 0.05, atol=0.0051)
    np.testing.assert_allclose(strip.points[:, 1], STRIP_DOWN - (row - np.median(row)) * 10, atol=0.0051)


@pytest.mark.parametrize("lead", LEADS)
def test_a_lead_shows_its_own_column_of_the_recording(lead: str) -> None:
    row, column = next((r, leads.index(lead)) for r, leads in enumerate(ROWS) if lead in leads)
    middle = column * 2.5 + 1.25
    drawn = of(lead, spikes(lead, (middle,)))[0]
    peak = drawn.points[drawn.points[:, 1].argmin()]
    np.testing.assert_allclose(peak, (TIME_ZERO + middle * 25, ROW_DOWN[row] - 10), atol=0.011)


def test_the_paper_has_lines_each_millimetre_and_each_five() -> None:
    paths = parsed(ecg_svg(with_signal(np.zeros((12, 5000)))))[2:4]
    for path, step, width in zip(paths, (1, 5), ("0.1", "0.2"), strict=True):
        lines = path.attrib["d"].removeprefix("M").split("M")
        upright = [float(line.partition(" ")[0]) for line in lines if line.endswith("v120")]
        level = [float(line.partition(" ")[2].removesuffix("h270")) for line in lines if line.endswith("h270")]
        assert len(upright) + len(level) == len(lines)
        assert upright == list(range(0, 271, step))
        assert level == list(range(0, 121, step))
        assert path.attrib["stroke-width"] == width


def test_it_names_every_lead_and_says_what_it_is() -> None:
    root = parsed(ecg_svg(with_signal(np.zeros((12, 5000)))))
    assert sorted(str(text.text) for text in root.iter(f"{SVG}text")) == sorted([*LEADS, "II"])
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.attrib["aria-labelledby"] == title.attrib["id"]
    assert root.attrib["aria-describedby"] == description.attrib["id"]
    for expected in ("25 mm/s", "10 mm/mV", "I aVR V1 V4", "II as rhythm strip"):
        assert expected in str(description.text)


def test_it_needs_no_style_and_no_script() -> None:
    """Nothing for a content security policy to forbid."""
    for element in parsed(ecg_svg(with_signal(np.zeros((12, 5000))))).iter():
        assert element.tag.removeprefix(SVG) in {"svg", "title", "desc", "g", "path", "text"}
        assert not {name for name in element.attrib if name == "style" or name.startswith("on") or "href" in name}


def test_a_gap_of_invalid_samples_stays_empty_and_a_lead_without_any_is_told() -> None:
    signal = np.zeros((12, 5000))
    signal[1, 2000:3000] = np.nan
    signal[LEADS.index("V4")] = np.nan
    before, after = of("II", with_signal(signal))[1:]
    assert before.points[:, 0].max() == pytest.approx(TIME_ZERO + 1999 * 0.05, abs=0.011)
    assert after.points[:, 0].min() == pytest.approx(TIME_ZERO + 3000 * 0.05, abs=0.011)
    assert of("V4", with_signal(signal)) == []
    assert ">V4 no signal<" in ecg_svg(with_signal(signal)).svg


def test_what_goes_beyond_the_paper_is_told() -> None:
    assert "PARTS BEYOND THE PAPER ARE CUT OFF" in ecg_svg(spikes("I", (1.0,), millivolts=9.0)).legend
    assert parsed(ecg_svg(spikes("I", (1.0,)))).attrib["overflow"] == "hidden"


@given(
    signal=arrays(np.float32, st.tuples(st.just(12), st.integers(1, 60)), elements=st.floats(width=32)),
    rate=st.sampled_from([50.0, 100.0, 500.0, 977.0, 32000.0]),
)
def test_any_signal_gives_a_drawing_of_finite_numbers(signal: NDArray[np.float32], rate: float) -> None:
    for stroke in strokes(Recording(signal, rate)):
        assert stroke.points.size
        assert np.isfinite(stroke.points).all()
        assert np.abs(stroke.points).max() <= 1200
        assert stroke.width == pytest.approx(0.25)
