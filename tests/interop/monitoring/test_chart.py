"""What is drawn of a trend."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from interop.monitoring.chart import BOTTOM, HEIGHT, LEFT, LINE_HEIGHT, RIGHT, TOP, WIDTH, chart, description
from interop.monitoring.trends import Figure, Limit, Line, Point, Trend, Unit

END = datetime(2026, 3, 2, tzinfo=UTC)
BEGIN = END - timedelta(days=90)
SVG = "{http://www.w3.org/2000/svg}"
ATTACK = "</text></svg><script>alert(1)</script>\"' onload='x"


def line(name: str, *values: float | None, spread: float | None = None) -> Line:
    def figure(value: float | None) -> Figure | None:
        if value is None:
            return None
        return Figure(value) if spread is None else Figure(value, max(value - spread, 0), min(value + spread, 1))

    step = (END - BEGIN) / max(len(values), 1)
    return Line(name, tuple(Point(BEGIN + step * (i + 1), figure(value)) for i, value in enumerate(values)))


def trend(*lines: Line, unit: Unit = Unit.SHARE, limit: Limit | None = None, title: str = "Urgent rate") -> Trend:
    return Trend(id="t", title=title, about="Share of ECGs.", unit=unit, lines=lines, limit=limit)


def drawn(made: Trend) -> ElementTree.Element:
    return ElementTree.fromstring(chart(made, BEGIN, END).svg)


def of_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in svg.iter() if name in one.get("class", "").split()]


def places(path: ElementTree.Element) -> list[tuple[float, float]]:
    found = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d", ""))
    return [(float(x), float(y)) for x, y in found]


def test_each_line_is_named_where_it_ends_and_has_a_look_of_its_own() -> None:
    svg = drawn(trend(line("female", 0.1, 0.2), line("male", 0.3, 0.4)))
    names = of_class(svg, "name")
    assert {one.text for one in names} == {"female 20.0%", "male 40.0%"}
    assert {one.get("class") for one in of_class(svg, "line")} == {"line l0", "line l1"}
    assert len({one.get("d", "").partition("a")[0] for one in of_class(svg, "mark")}) == 2


def test_a_point_lies_where_its_time_and_its_value_are() -> None:
    (path,) = of_class(drawn(trend(line("a", 0.0, 1.0))), "line")
    assert places(path) == [(LEFT + (RIGHT - LEFT) / 2, BOTTOM), (RIGHT, TOP)]


def test_what_could_not_be_told_is_a_gap_and_a_single_figure_a_mark() -> None:
    svg = drawn(trend(line("a", 0.1, 0.2, None, 0.3, None, 0.4, 0.5, spread=0.05)))
    assert [len(places(one)) for one in of_class(svg, "line")] == [2, 2]
    assert len(of_class(svg, "mark")) == 3
    assert (len(of_class(svg, "band")), len(of_class(svg, "whisker"))) == (2, 1)


def test_without_an_interval_there_is_no_band() -> None:
    assert of_class(drawn(trend(line("a", 0.1, 0.2))), "band") == []


def test_a_limit_is_drawn_at_its_height_and_named() -> None:
    svg = drawn(trend(line("by sex", 0.9, 0.6), unit=Unit.RATIO, limit=Limit(0.8, "needed 0.8")))
    path, words = of_class(svg, "limit")
    assert (words.text, places(path)[0]) == ("needed 0.8", (LEFT, round(BOTTOM - 0.8 * (BOTTOM - TOP), 1)))


def test_who_does_not_see_it_is_told_the_first_and_the_last_figure() -> None:
    made = trend(line("female", 0.1, None, 0.2, spread=0.05), line("male", 0.3), limit=Limit(0.8, "needed 80%"))
    words = description(made)
    assert words == (
        "Share of ECGs. female: 10.0% (5.0% to 15.0%) on 2026-01-01, 20.0% (15.0% to 25.0%) on 2026-03-02. "
        "male: 30.0% on 2026-03-02. Dashed line: needed 80%."
    )
    svg = drawn(made)
    assert svg.get("role") == "img"
    assert (svg.findtext(f"{SVG}title"), svg.findtext(f"{SVG}desc")) == ("Urgent rate", words)
    named = {one.get("id") for one in svg}
    assert {svg.get("aria-labelledby"), svg.get("aria-describedby")} <= named


def test_it_brings_no_style_script_or_reference_of_its_own() -> None:
    svg = drawn(trend(line("a", 0.1, 0.2, spread=0.1), limit=Limit(0.1, "allowed 10%")))
    assert {one.tag.removeprefix(SVG) for one in svg.iter()} == {"svg", "title", "desc", "path", "text"}
    names = {name for one in svg.iter() for name in one.attrib}
    assert names.isdisjoint({"style", "href", "fill", "stroke", "{http://www.w3.org/1999/xlink}href"})


def test_names_from_outside_are_text() -> None:
    svg = drawn(trend(line(ATTACK, 0.1, 0.2), title=ATTACK, limit=Limit(0.1, ATTACK)))
    assert {one.tag.removeprefix(SVG) for one in svg.iter()} == {"svg", "title", "desc", "path", "text"}
    assert any(ATTACK in (one.text or "") for one in of_class(svg, "name"))


shares = st.none() | st.floats(0, 1, allow_subnormal=False)


@given(
    lines=st.lists(st.lists(shares, min_size=1, max_size=12), min_size=1, max_size=6),
    unit=st.sampled_from(list(Unit)),
    spread=st.none() | st.floats(0, 0.3),
    limit=st.none() | st.floats(0, 1),
)
def test_any_trend_stays_within_its_frame_and_names_do_not_lie_on_each_other(
    lines: list[list[float | None]], unit: Unit, spread: float | None, limit: float | None
) -> None:
    made = [line(f"line {i}", *values, spread=spread) for i, values in enumerate(lines)]
    svg = drawn(trend(*made, unit=unit, limit=None if limit is None else Limit(limit, "needed")))
    for path in [*of_class(svg, "line"), *of_class(svg, "band"), *of_class(svg, "limit")]:
        assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in places(path))
    heights = sorted(float(one.get("y", "nan")) for one in of_class(svg, "name"))
    assert all(b - a >= LINE_HEIGHT - 0.01 for a, b in pairwise(heights))
    assert all(0 < y < HEIGHT for y in heights)
    assert svg.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
