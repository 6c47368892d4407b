"""`GET /monitoring` over a real store, with months of reports in it, and with what nobody would write into one."""

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.monitoring_records import Alert, MonitoringReport, Notice, NoticeEvent, ReportKind, Severity
from interop.monitoring.history import MOST_POINTS
from interop.problem import MEDIA_TYPE
from tests.conftest import ROOT
from tests.fakes import NOW
from tests.interop.monitoring.planted import DAY, alerted, drift, monitored, plant
from tests.interop.pages.shown import Page
from tests.interop.pages.test_routes import ATTACKS, HOSTILE, POLICY
from tests.interop.service import Service, running

SHOWN = ("drift", "bias", "performance")


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def watched() -> Iterator[Service]:
    """Six weeks of results, reports of four days of them, and drift every hour of the last."""
    with running() as started:
        store = started.store.store
        plant(store, NOW - 42 * DAY, NOW, 60, worse_from=NOW - 12 * DAY)
        monitored(store, [NOW - number * DAY for number in (30, 20, 10, 0)])
        hours = [NOW - timedelta(hours=number) for number in reversed(range(240))]
        drift(store, hours, NOW - 2 * DAY, b"<p>page")
        alerted(store, NOW)
        yield started


def page(service: Service, query: str = "") -> Page:
    response = service.client.get(f"/monitoring{query}")
    assert response.status_code == 200, response.text
    return Page(response.text)


def test_before_the_first_report_it_says_how_to_make_one(service: Service) -> None:
    shown = page(service)
    assert "Nothing has been looked at yet" in shown.text
    for kind in SHOWN:
        assert f"To make one: ecg-interop monitor {kind}" in shown.text
    assert "shadow" not in shown.text
    assert shown.all("svg") == []
    assert [one["href"] for one in shown.all("a")] == ["?days=7", "?days=30", "?days=90", "?days=365"]


def test_who_watches_the_model_finds_alerts_verdicts_and_trends(watched: Service) -> None:
    shown = page(watched)
    for expected in (
        "alerts are open:",
        "Live ECGs differ from the reference",
        "for 26 hours, since 2026-03-01 07:30:00 UTC",
        "Told mail, 2026-03-01 07:30:40 UTC",
        "Not told: chat was not reached, given up: connection refused",
        "0 minutes old, made 2026-03-02 09:30:00 UTC",
        "Urgent rate by sex. Lowest over highest",
        "Macro-AUC by over-reads.",
        "needed 0.8",
        "allowed 100 ms",
    ):
        assert expected in shown.text, expected
    links = [one["href"] for one in shown.all("a")]
    assert links[4:] == [
        "#drift", "/monitoring/drift", "/monitoring/drift?format=html",
        "#bias", "/monitoring/bias", "#performance", "/monitoring/performance",
    ]  # fmt: skip
    assert all(watched.client.get(link).status_code == 200 for link in links if link.startswith("/"))


def test_links_go_where_the_service_is_reached() -> None:
    with running(public_url="https://ecg.example/base/") as service:
        drift(service.store.store, [NOW], NOW)
        links = [one["href"] for one in page(service).all("a")]
    assert links[4:] == ["#drift", "https://ecg.example/base/monitoring/drift"]


def test_every_plot_has_a_title_a_description_and_a_table_that_says_the_same(watched: Service) -> None:
    shown = page(watched)
    plots = shown.all("svg")
    assert len(plots) == len(shown.all("figure")) >= 15
    ids = [one["id"] for _, one in shown.elements if "id" in one]
    assert len(set(ids)) == len(ids)
    for plot in plots:
        assert plot["role"] == "img"
        assert {plot["aria-labelledby"], plot["aria-describedby"]} <= set(ids)
    report = watched.client.get("/monitoring/bias").json()
    rates = report["groups"]["sex"]["groups"]
    cells = [f"{g['rate']:.1%} ({g['low']:.1%} to {g['high']:.1%})" for g in (rates["female"], rates["male"])]
    assert ["2026-03-02 09:30", *cells] in shown.rows


def test_of_many_reports_so_many_are_drawn_and_the_time_can_be_chosen(watched: Service) -> None:
    def drawn(query: str) -> int:
        # Each row of the table of a plot of drift begins with its time; there are two plots.
        return sum(row[0].startswith("2026-") for row in page(watched, query).rows)

    assert drawn("?days=10") > drawn("?days=90") > 0
    assert 2 * MOST_POINTS <= drawn("?days=10") < 2 * 240
    current = [one["href"] for one in page(watched, "?days=30").all("a") if "aria-current" in one]
    assert current == ["?days=30"]
    assert "over 11 days" in page(watched, "?days=11").text


@pytest.mark.parametrize("days", ["0", "-1", "3661", "x", "1e3", ""])
def test_a_time_that_is_none_is_refused(service: Service, days: str) -> None:
    response = service.client.get(f"/monitoring?days={days}")
    assert (response.status_code, response.headers["content-type"]) == (422, MEDIA_TYPE)


def test_it_has_landmarks_headings_and_a_language_and_nothing_that_runs(watched: Service) -> None:
    shown = page(watched)
    assert shown.all("html") == [{"lang": "en"}]
    assert {"header", "main", "footer", "nav", "h1", "h2", "h3", "table", "details", "summary"} <= shown.tags
    assert len(shown.all("h1")) == 1
    names = {one["id"] for one in shown.all("h2")}
    assert {one["aria-labelledby"] for one in shown.all("section")} == names
    assert all(one.get("scope") in ("col", "row") for one in shown.all("th"))
    assert shown.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "link", "base"})
    assert [one for _, one in shown.elements if "style" in one or any(name.startswith("on") for name in one)] == []


def test_its_headers_let_it_load_nothing_and_keep_it_to_itself(service: Service) -> None:
    response = service.client.get("/monitoring")
    sheet = response.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert response.headers["content-security-policy"] == POLICY.format(digest)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


def hostile(service: Service, kind: ReportKind, content: Any) -> None:
    report = MonitoringReport(
        kind=kind, computed_at=NOW, begin=NOW - DAY, end=NOW, flag=True, content=orjson.dumps(content), page=None
    )
    with service.store.store.unit_of_work() as uow:
        uow.reports.add(report)


def test_nothing_that_others_wrote_runs_or_leaves_its_place(service: Service, watched: Service) -> None:
    alert = Alert(key="k", severity=Severity.CRITICAL, title=HOSTILE, text=HOSTILE, opened_at=NOW, seen_at=NOW)
    with service.store.store.unit_of_work() as uow:
        opened, _ = uow.alerts.see(alert)
        assert opened.id is not None
        for channel in (HOSTILE, "mail"):
            told = uow.alerts.tell(
                Notice(alert_id=opened.id, event=NoticeEvent.OPENED, channel=channel, created_at=NOW)
            )
        uow.alerts.failed(told, HOSTILE, None)
        uow.alerts.see(replace(alert, key="closed"))
        uow.alerts.resolve("closed", NOW)
    finding = {"key": HOSTILE, "flag": True, "severity": HOSTILE, "title": HOSTILE, "text": HOSTILE}
    group = {"rate": 0.2, "low": 0.1, "high": 0.3, "judgement": "judged"}
    hostile(service, ReportKind.BIAS, {"findings": [finding], "groups": {"sex": {"groups": {HOSTILE: group}}}})
    hostile(service, ReportKind.PERFORMANCE, {"findings": [finding], "errors": {HOSTILE: {"error": group}}})
    hurt, clean = page(service), page(watched)
    assert hurt.tags <= clean.tags | {"code"}
    assert hurt.tags.isdisjoint({"script", "img", "iframe"})
    assert [one for _, one in hurt.elements if any(name.startswith("on") for name in one)] == []
    assert hurt.text.count(ATTACKS[0]) >= 12
    assert "{{ 7 * 7 }}" in hurt.text
    classes = {word for _, one in hurt.elements for word in (one.get("class") or "").split()}
    known = {word for _, one in clean.elements for word in (one.get("class") or "").split()}
    assert classes <= known | {"critical", "info", "unknown", "whisker"}


WORDS = st.sampled_from(
    [*ATTACKS, "groups", "sex", "rate", "judgement", "judged", "findings", "flag", "title", "errors", "features", "n",
     "p_value", "analyses", "overreads", "window", "days", "classes", "MI", "auc", "value", "low", "high"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


@given(kind=st.sampled_from(list(ReportKind)), content=ANYTHING)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_report_of_any_shape_is_shown_as_far_as_it_goes(service: Service, kind: ReportKind, content: Any) -> None:
    hostile(service, kind, content)
    assert page(service).tags.isdisjoint({"script", "img", "iframe"})


def test_the_page_is_for_people_and_in_no_description_for_programs(service: Service) -> None:
    assert "/monitoring" not in service.client.get("/openapi.json").json()["paths"]


def test_a_page_loads_no_library_for_plots() -> None:
    code = "import sys, interop.web; assert not {'jinja2', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
