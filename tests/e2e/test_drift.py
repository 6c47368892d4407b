"""Drift beside the running service: simulated ECGs by a door, the report by command, its page in a browser."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.chromium import Tab, browser
from tests.e2e.conftest import Service, command, running

pytestmark = pytest.mark.slow

__all__ = ["browser"]

ECGS = 60  # of a window: ten more than it takes


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service after ECGs of twice the amplitude, and a report on them."""
    folder = tmp_path_factory.mktemp("drift")
    with running(folder, allow_candidate="true") as service:
        where = f"{service.mllp[0]}:{service.mllp[1]}"
        options = ("--ecgs", str(ECGS), "--rate", "100", "--shift", "gain", "--after", "5")
        sent = command("simulate", "--mllp", where, *options, folder=folder)
        assert re.fullmatch(rf"{ECGS} ECGs sent, {ECGS - 5} of them with gain x 2; 0 refused, \d+ late\n", sent.stdout)
        found = command("monitor", "drift", "--fail-on-flag", folder=folder)
        assert (found.returncode, found.stderr) == (1, "")
        assert "FLAGGED: Signals differ" in found.stdout
        yield service


def test_a_planted_shift_is_found_shown_and_alerted(drifted: Service) -> None:
    report = httpx.get(f"{drifted.url}/monitoring/drift").json()
    assert (report["flag"], report["stale"], report["analyses"]) == (True, False, ECGS)
    one = next(feature for feature in report["features"] if feature["name"] == "limb_voltage")
    assert (one["flag"], one["n"], one["test"]) == (True, ECGS, "Kolmogorov-Smirnov")
    assert one["p_value"] < one["p_adjusted"] < report["alpha"]
    alerts = httpx.get(f"{drifted.url}/monitoring/alerts").json()["alerts"]
    assert "drift:signal" in {alert["key"] for alert in alerts}


def test_the_page_of_evidently_works_in_its_sandbox(drifted: Service, browser: Tab) -> None:
    answer = httpx.get(f"{drifted.url}/monitoring/drift?format=html")
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    browser.open(str(answer.url))
    text = browser.value("document.body.innerText")
    assert "Dataset Drift is detected" in text
    assert "limb_voltage" in text
    assert not browser.told("Runtime.exceptionThrown")
    outside = [one["request"]["url"] for one in browser.told("Network.requestWillBeSent")]
    assert all(url.startswith((drifted.url, "data:")) for url in outside), outside


def test_little_traffic_makes_no_reference(drifted: Service) -> None:
    made = command("monitor", "reference", "-o", str(drifted.folder / "own.parquet"), folder=drifted.folder)
    assert made.returncode == 1
    assert f"only {ECGS} live ECGs of" in made.stderr
