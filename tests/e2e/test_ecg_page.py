"""The page of an ECG in a real browser, against the running service."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import orjson
import pytest
from pypdf import PageObject, PdfReader

from interop.pages.routes import page_path
from tests.e2e import doors
from tests.e2e.chromium import Tab, browser
from tests.e2e.conftest import Service

__all__ = ["browser"]

# A desktop screen of 96 dpi: a millimetre is 3.7795 CSS pixels.
WIDTH, HEIGHT = 1280, 900
PIXELS = 96 / 25.4
POINT = 25.4 / 72  # mm
ATTACK = (
    "<script>document.title='owned'</script>"
    "<img src='http://attacker.invalid/x' onerror=\"document.title='owned'\"><svg onload=\"document.title='owned'\">"
)


@pytest.fixture(scope="module")
def report(service: Service) -> str:
    """The id of an analysed infarction whose patient's number is an attack."""
    body = orjson.loads(doors.observation())
    body["contained"][0]["identifier"] = [{"system": "urn:x:hospital", "value": ATTACK}]
    body["subject"]["identifier"]["value"] = ATTACK
    response = doors.post_observation(service, orjson.dumps(body))
    assert response.status_code == 201, response.text
    return response.headers["link"].partition(">")[0].rpartition("/")[2]


@pytest.fixture(scope="module")
def opened(service: Service, browser: Tab, report: str) -> Tab:
    """The browser, with the page before it."""
    browser.screen(WIDTH, HEIGHT)
    browser.open(f"{service.url}{page_path(report)}")
    return browser


def test_the_page_is_shown_and_an_attack_in_it_is_text(opened: Tab, report: str) -> None:
    assert opened.value("document.title") == f"12-lead ECG report {report}"
    text = opened.value("document.body.innerText")
    assert ATTACK in text
    assert "PRELIMINARY - AI-generated, to be confirmed by a clinician" in text
    assert opened.value("document.querySelectorAll('script, img, iframe, [onload], [onerror]').length") == 0
    assert opened.value("document.querySelectorAll('svg').length") == 1


def test_the_tracing_has_its_size_on_the_screen_and_nothing_is_beside_the_window(opened: Tab) -> None:
    box = opened.value("document.querySelector('svg').getBoundingClientRect().toJSON()")
    assert (box["width"], box["height"]) == pytest.approx((270 * PIXELS, 120 * PIXELS), abs=0.1)
    assert 0 <= box["left"] <= box["right"] <= WIDTH
    assert opened.value("document.documentElement.scrollWidth") <= WIDTH


def test_the_style_of_the_page_is_in_force(opened: Tab) -> None:
    """Its hash is in the policy, or the browser would have dropped it."""
    assert opened.value("getComputedStyle(document.querySelector('.report')).display") == "grid"
    colour = "getComputedStyle(document.querySelector('.status')).backgroundColor"
    assert opened.value(colour) == "rgb(255, 241, 184)"


def test_nothing_is_loaded_and_nothing_is_complained_of(opened: Tab, service: Service, report: str) -> None:
    requested = [one["request"]["url"] for one in opened.told("Network.requestWillBeSent")]
    assert requested == [f"{service.url}{page_path(report)}"]
    assert opened.told("Log.entryAdded") == []
    assert opened.told("Runtime.consoleAPICalled") == []
    assert opened.told("Runtime.exceptionThrown") == []


def test_its_policy_stops_a_script_that_gets_in_all_the_same(opened: Tab) -> None:
    opened.value(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.owned = 1'}))"
    )
    assert opened.value("window.owned") is None
    (entry,) = opened.told("Log.entryAdded")
    assert "Content Security Policy" in entry["entry"]["text"]


def test_a_screen_reader_is_told_what_the_tracing_is(opened: Tab) -> None:
    tree = opened.call("Accessibility.getFullAXTree")["nodes"]
    roles = {(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if "role" in node}
    assert ("image", "12-lead ECG") in roles
    assert {"banner", "main", "contentinfo", "navigation", "table", "heading"} <= {role for role, _ in roles}


def test_it_prints_on_a4_in_landscape_and_true_to_scale(opened: Tab) -> None:
    printed = PdfReader(BytesIO(opened.print()))
    for page in printed.pages:
        box = page.mediabox
        assert (float(box.width) * POINT, float(box.height) * POINT) == pytest.approx((297, 210), abs=0.5)
    pulses = [stroke for page in printed.pages for stroke in strokes(page) if len(stroke) == 6]
    assert len(pulses) == 4
    for pulse in pulses:
        (left, bottom), (_, top), (right, _) = pulse[1:4]
        assert (right - left, abs(top - bottom)) == pytest.approx((5, 10), abs=0.02)


def strokes(page: PageObject) -> list[list[tuple[float, float]]]:
    """The stroked lines of a printed page, by their points in millimetres."""
    path, found = list[tuple[float, float]](), list[list[tuple[float, float]]]()

    def follow(operator: bytes, operands: Sequence[Any], matrix: Sequence[float], _: object) -> None:
        if operator == b"m":
            path.clear()
        if operator in (b"m", b"l"):
            (x, y), (a, b, c, d, e, f) = map(float, operands), matrix
            path.append(((a * x + c * y + e) * POINT, (b * x + d * y + f) * POINT))
        if operator == b"S":
            found.append(list(path))

    page.extract_text(visitor_operand_before=follow)
    return found
