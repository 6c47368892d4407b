"""The page of monitoring in a real browser, against a running service with months of reports."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.monitoring_records import Alert, Severity
from audit.store import open_store
from audit.upgrade import upgrade
from tests.e2e.chromium import Tab, browser
from tests.e2e.conftest import Service, running
from tests.interop.monitoring.planted import DAY, alerted, drift, monitored, plant

__all__ = ["browser"]

WIDTH, HEIGHT = 1280, 900
PHONE = 360  # CSS pixels of a small one
ATTACK = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder, now = tmp_path_factory.mktemp("watched"), datetime.now(UTC)
    planted(folder / "planted.db", now)
    with running(folder, database_url=f"sqlite:///{folder}/planted.db") as service:
        yield service


def planted(file: Path, now: datetime) -> None:
    upgrade(f"sqlite:///{file}")
    store = open_store(f"sqlite:///{file}", chain_id="planted")
    plant(store, now - 42 * DAY, now, 60, worse_from=now - 12 * DAY)
    monitored(store, [now - number * DAY for number in (20, 10, 0)])
    drift(store, [now - timedelta(hours=number) for number in reversed(range(48))], now - DAY)
    alerted(store, now)
    with store.unit_of_work() as uow:
        uow.alerts.see(
            Alert(key="attack", severity=Severity.INFO, title=ATTACK, text=ATTACK, opened_at=now, seen_at=now)
        )
    store.close()


@pytest.fixture
def opened(watched: Service, browser: Tab) -> Tab:
    """The browser, with the page before it."""
    look(browser, "light", WIDTH)
    browser.open(f"{watched.url}/monitoring")
    return browser


def look(browser: Tab, scheme: str, width: int) -> None:
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.screen(width, HEIGHT)


def test_the_page_is_shown_and_an_attack_in_it_is_text(opened: Tab) -> None:
    assert opened.value("document.title") == "Monitoring of the ECG model"
    text = opened.value("document.body.innerText")
    assert ATTACK in text
    assert "alerts are open" in text
    assert opened.value("document.querySelectorAll('script, img, iframe, [onload], [onerror]').length") == 0
    assert opened.value("document.querySelectorAll('svg').length") >= 15


def test_nothing_is_loaded_and_nothing_is_complained_of(opened: Tab, watched: Service) -> None:
    requested = [one["request"]["url"] for one in opened.told("Network.requestWillBeSent")]
    assert requested == [f"{watched.url}/monitoring"]
    assert opened.told("Log.entryAdded") == []
    assert opened.told("Runtime.consoleAPICalled") == []
    assert opened.told("Runtime.exceptionThrown") == []


def test_the_style_of_the_page_is_in_force_in_the_plots_too(opened: Tab) -> None:
    assert opened.value("getComputedStyle(document.querySelector('.plots')).display") == "grid"
    assert opened.value("getComputedStyle(document.querySelector('.line.l0')).stroke") == "rgb(0, 103, 166)"
    assert opened.value("getComputedStyle(document.querySelector('.line.l1')).strokeDasharray") == "7px, 2px"


@pytest.mark.parametrize("width", [PHONE, 768, WIDTH])
def test_nothing_is_beside_the_window(opened: Tab, watched: Service, width: int) -> None:
    look(opened, "light", width)
    opened.open(f"{watched.url}/monitoring")
    opened.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert opened.value("document.documentElement.scrollWidth") <= width
    beside = "[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().right > innerWidth).length"
    assert opened.value(beside) == 0
    names = "[...document.querySelectorAll('svg .name, svg .tick')].filter(t => {"
    names += "const a = t.getBoundingClientRect(), b = t.closest('figure').getBoundingClientRect();"
    assert opened.value(names + "return a.right > b.right || a.left < b.left }).map(t => t.textContent)") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(opened: Tab, watched: Service, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    look(opened, scheme, WIDTH)
    opened.open(f"{watched.url}/monitoring")
    assert opened.value(FAINT) == []
    background = opened.value("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(244, 246, 248)", "dark": "rgb(16, 20, 24)"}[scheme]


def test_a_screen_reader_is_told_what_the_plots_are(opened: Tab) -> None:
    tree = opened.call("Accessibility.getFullAXTree")["nodes"]
    images = [node for node in tree if node.get("role", {}).get("value") == "image"]
    names = {node["name"]["value"] for node in images}
    assert {"Urgent rate by sex", "Parity ratio", "Macro-AUC", "Time of an analysis"} <= names
    (ratio,) = (node for node in images if node["name"]["value"] == "Parity ratio")
    assert "by sex:" in ratio["description"]["value"]


def test_it_prints_light_whatever_the_screen_is(opened: Tab, watched: Service) -> None:
    look(opened, "dark", WIDTH)
    opened.open(f"{watched.url}/monitoring")
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert opened.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert opened.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    opened.call("Emulation.setEmulatedMedia", media="")


# Texts whose contrast with the nearest background is below 4.5; those of plots are filled, the others coloured.
FAINT = """(() => {
  const light = c => { const p = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2] };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c)) return c } return 'rgb(255, 255, 255)' };
  const faint = [];
  for (const e of document.body.querySelectorAll('*')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    if (['title', 'desc'].includes(e.tagName)) continue;
    const style = getComputedStyle(e), colour = e.ownerSVGElement ? style.fill : style.color;
    const [a, b] = [light(colour), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${e.textContent.trim()}: ${colour} on ${behind(e)}`);
  }
  return faint;
})()"""
