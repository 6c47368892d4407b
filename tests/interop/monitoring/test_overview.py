"""The page of monitoring, as values: what is said of alerts and of each kind of report."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from audit.monitoring_records import Alert, MonitoringReport, Notice, NoticeEvent, NoticeState, ReportKind, Severity
from interop.monitoring.history import History
from interop.monitoring.measures import Seen
from interop.monitoring.overview import Overview, in_words, overview
from tests.fakes import NOW

HOUR = timedelta(hours=1)
AGES = {ReportKind.DRIFT: 2 * HOUR, ReportKind.BIAS: 48 * HOUR, ReportKind.SHADOW: 48 * HOUR}
EXPECTED = {ReportKind.DRIFT, ReportKind.BIAS}


def report(kind: ReportKind, hours: float = 1, *, flag: bool = False, **content: Any) -> MonitoringReport:
    at = NOW - timedelta(hours=hours)
    return MonitoringReport(
        kind=kind, computed_at=at, begin=at - 720 * HOUR, end=at, flag=flag, content=orjson.dumps(content)
    )


def alert(severity: Severity = Severity.WARNING, hours: float = 3, **given: Any) -> Alert:
    at = NOW - timedelta(hours=hours)
    values: dict[str, Any] = {"key": "bias:sex", "title": "Urgent rate by sex", "text": "0.57", "opened_at": at}
    return Alert(severity=severity, seen_at=NOW, **(values | given))


def notice(state: NoticeState, event: NoticeEvent = NoticeEvent.OPENED, **given: Any) -> Notice:
    return Notice(alert_id=1, event=event, channel="mail", created_at=NOW, state=state, **given)


def shown(*reports: MonitoringReport, alerts: Any = (), seen: Any = None) -> Overview:
    newest = {one.kind: one for one in reports}
    history = History(
        begin=NOW - 2160 * HOUR, end=NOW, alerts=alerts, newest=newest, with_page=frozenset(), seen=seen or {}
    )
    return overview(history, AGES, EXPECTED, 90)


def test_a_kind_without_a_report_is_told_unless_nobody_expects_it() -> None:
    page = shown(report(ReportKind.BIAS))
    assert [(kind.name, kind.verdict) for kind in page.kinds] == [
        ("drift", "No report yet"),
        ("bias", "Nothing flagged"),
    ]
    assert page.worries == ("Drift: no report yet.",)
    assert (page.summary, page.tone) == ("No alert is open, but not everything is looked at", "unknown")
    assert [kind.name for kind in shown(report(ReportKind.SHADOW)).kinds] == ["drift", "bias", "shadow"]
    assert shown().summary == "Nothing has been looked at yet"


def test_an_old_report_is_stale_and_no_good_news() -> None:
    page = shown(report(ReportKind.DRIFT, 3), report(ReportKind.BIAS, 3))
    drift, bias = page.kinds
    assert (drift.stale, bias.stale) == ("the report is 3 hours old, allowed are 2 hours", "")
    assert page.tone == "unknown"
    good = shown(report(ReportKind.DRIFT, 1), report(ReportKind.BIAS, 3))
    assert (good.summary, good.tone, good.worries) == ("No alert is open", "good", ())


def test_alerts_are_counted_by_severity_and_the_worst_comes_first() -> None:
    alerts = [(alert(one), ()) for one in (Severity.INFO, Severity.CRITICAL, Severity.WARNING, Severity.INFO)]
    page = shown(alerts=alerts)
    assert (page.summary, page.tone) == ("4 alerts are open: 1 critical, 1 warning, 2 info", "critical")
    assert [one.severity for one in page.open] == ["critical", "warning", "info", "info"]
    alone = shown(alerts=[(alert(Severity.INFO), ())])
    assert (alone.summary, alone.tone) == ("1 alert is open: 1 info", "info")


def test_a_resolved_alert_is_not_among_the_open_ones() -> None:
    page = shown(alerts=[(alert(resolved_at=NOW - HOUR), ())])
    (closed,) = page.closed
    assert (page.open, closed.age, closed.resolved) == ((), "2 hours", "2026-03-02 08:30:00 UTC")


@pytest.mark.parametrize(
    ("told", "text", "failed"),
    [
        (notice(NoticeState.SENT, sent_at=NOW), "mail, 2026-03-02 09:30:00 UTC", False),
        (notice(NoticeState.WAITING), "mail, waits to be sent", False),
        (
            notice(NoticeState.WAITING, attempts=1, error="no route"),
            "mail is not reached yet after 1 attempt: no route",
            True,
        ),
        (
            notice(NoticeState.DEAD, attempts=5, error="550 unknown"),
            "mail was not reached after 5 attempts, given up: 550 unknown",
            True,
        ),
        (notice(NoticeState.DEAD), "mail was not reached, given up", True),
        (
            notice(NoticeState.SENT, NoticeEvent.WORSENED, sent_at=NOW),
            "that it got worse: mail, 2026-03-02 09:30:00 UTC",
            False,
        ),
        (notice(NoticeState.WAITING, NoticeEvent.RESOLVED), "its end: mail, waits to be sent", False),
    ],
)
def test_who_was_told_and_who_was_not(told: Notice, text: str, failed: bool) -> None:
    (one,) = shown(alerts=[(alert(), [told])]).open
    assert [(t.text, t.failed) for t in one.told] == [(text, failed)]


def test_a_notice_that_nobody_got_is_told_at_the_top_also_of_an_alert_that_is_just_over() -> None:
    lost, sent = notice(NoticeState.DEAD), notice(NoticeState.SENT)
    over = alert(hours=400, resolved_at=NOW - HOUR)
    assert "2 notices did not reach anybody." in shown(alerts=[(alert(), [lost, sent]), (over, [lost])]).worries
    long_over = replace(over, resolved_at=NOW - 200 * HOUR)
    assert "1 notice did not reach anybody." in shown(alerts=[(alert(), [lost]), (long_over, [lost])]).worries
    assert not any("notice" in worry for worry in shown(alerts=[(alert(), [sent])]).worries)


def test_findings_are_told_with_their_verdict_and_the_worst_gives_the_look() -> None:
    findings = [
        {"key": "a", "flag": True, "severity": "info", "title": "A", "text": "1"},
        {"key": "b", "flag": False, "severity": "warning", "title": "B", "text": "2"},
        {"key": "c", "flag": None, "severity": "warning", "title": "C", "text": "3"},
    ]
    page = shown(report(ReportKind.BIAS, flag=True, findings=findings, analyses=1200, overreads={"n": 7}))
    bias = page.kinds[1]
    assert (bias.verdict, bias.tone) == ("Flagged", "info")
    assert [one.verdict for one in bias.findings] == ["flagged", "ok", "cannot be told yet"]
    assert bias.facts == ("of 2026-01-31 to 2026-03-02", "1,200 ECGs", "7 over-read")
    assert shown(report(ReportKind.BIAS, flag=True)).kinds[1].tone == "warning"


def test_the_table_of_a_plot_says_the_same_newest_first() -> None:
    def content(rate: float | None) -> dict[str, Any]:
        judgement = "too few to judge" if rate is None else "judged"
        female = {"rate": rate, "low": 0.1, "high": 0.5, "judgement": judgement}
        return {"groups": {"sex": {"groups": {"female": female}}}}

    seen = [Seen(at=NOW - (2 - i) * HOUR, content=content(rate)) for i, rate in enumerate((0.2, None, 0.3))]
    page = shown(report(ReportKind.BIAS), seen={ReportKind.BIAS: seen})
    plots = {plot.id: plot for plot in page.kinds[1].plots}
    assert plots["urgent-by-sex"].names == ("female",)
    assert plots["urgent-by-sex"].rows == (
        ("2026-03-02 09:30", "30.0% (10.0% to 50.0%)"),
        ("2026-03-02 08:30", "-"),
        ("2026-03-02 07:30", "20.0% (10.0% to 50.0%)"),
    )
    assert set(plots) == {"urgent-by-sex"}
    assert page.kinds[1].untold == ("Urgent rate by age", "Parity ratio")


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=5), "0 minutes"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(hours=48), "2 days"),
        (timedelta(minutes=-3), "0 minutes"),
    ],
)
def test_an_age_is_told_in_one_unit(age: timedelta, words: str) -> None:
    assert in_words(age) == words
