"""What the page of monitoring says, as values that a template only has to set. Pure."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit.monitoring_records import Alert, Notice, NoticeState, ReportKind, Severity
from audit.notices import OF_CONCERN
from interop.monitoring.chart import Chart, chart, figure_words
from interop.monitoring.history import MOST_POINTS, History, content
from interop.monitoring.measures import part, trends
from interop.monitoring.trends import Trend
from interop.resources.report_words import DISCLAIMER, clock

SEVERITY_ORDER = tuple(Severity)
SEVERITY_WORDS: Mapping[Severity, str] = {
    Severity.CRITICAL: "look now",
    Severity.WARNING: "look today",
    Severity.INFO: "look when there is time",
}
TITLES: Mapping[str, tuple[str, str]] = {
    "drift": ("Drift", "Whether what comes in and what is predicted look like the reference."),
    "bias": ("Bias", "Whether women and men, young and old get urgent results and right ones alike."),
    "performance": (
        "Performance",
        "How right results are by the over-reads of clinicians, how fast, how often they fail.",
    ),
    "shadow": ("Shadow", "What a candidate would have said of the same ECGs."),
}
WINDOWS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}
EVENT_WORDS: Mapping[str, str] = {"opened": "", "worsened": "that it got worse: ", "resolved": "its end: "}
FLAG_WORDS = {True: "flagged", False: "ok", None: "cannot be told yet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One telling. failed: whether nobody got it, for now or for good."""

    text: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """An alert. kind: of the report that found it."""

    severity: str
    urgency: str
    title: str
    text: str
    since: str
    age: str
    resolved: str
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a report looked at."""

    title: str
    text: str
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """rows: time, and a figure for each line; newest first."""

    id: str
    title: str
    about: str
    chart: Chart
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of report. verdict, tone: of the newest; age: how long ago it was made. stale: why it is too old, or
    nothing. facts: what it rests on. untold: titles of plots for which no report tells enough."""

    name: str
    title: str
    about: str
    verdict: str
    tone: str
    age: str
    made: str
    stale: str
    has_page: bool
    facts: tuple[str, ...]
    findings: tuple[Finding, ...]
    plots: tuple[Plot, ...]
    untold: tuple[str, ...]

    @property
    def is_missing(self) -> bool:
        """Whether there is no report yet."""
        return not self.made


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that is shown. summary: the state in one line, with its tone. windows: days, words, and whether they
    are those of this page."""

    summary: str
    tone: str
    worries: tuple[str, ...]
    open: tuple[Open, ...]
    closed: tuple[Open, ...]
    kinds: tuple[Kind, ...]
    days: int
    windows: tuple[tuple[int, str, bool], ...]
    made: str
    most_points: int = MOST_POINTS
    disclaimer: str = DISCLAIMER


def overview(history: History, ages: Mapping[ReportKind, timedelta], expected: Set[ReportKind], days: int) -> Overview:
    """The page as it is at the end of a history. ages: how old a report of each kind may be. expected: kinds that are
    shown also where there is no report."""
    now = history.end
    alerts = [(alert, _open(alert, notices, now)) for alert, notices in history.alerts]
    unresolved = sorted((pair for pair in alerts if pair[0].resolved_at is None), key=_severest)
    shown = [kind for kind in ages if kind in expected or kind in history.newest]
    kinds = tuple(_kind(kind, history, ages[kind]) for kind in shown)
    summary, tone = _summary([alert for alert, _ in unresolved], kinds)
    return Overview(
        summary=summary,
        tone=tone,
        worries=(*_worries(kinds), *_unheard(alerts, now)),
        open=tuple(one for _, one in unresolved),
        closed=tuple(one for alert, one in alerts if alert.resolved_at is not None),
        kinds=kinds,
        days=days,
        windows=tuple((number, words, number == days) for number, words in WINDOWS.items()),
        made=clock(now),
    )


def in_words(age: timedelta) -> str:
    """A length of time, rounded down: `3 hours`."""
    minutes = max(int(age.total_seconds() // 60), 0)
    for size, name in ((60 * 24, "day"), (60, "hour"), (1, "minute")):
        number = minutes // size
        if number >= (2 if size > 1 else 1) or size == 1:
            return f"{number} {name}" + ("" if number == 1 else "s")
    raise AssertionError("minutes are the last")


def _severest(found: tuple[Alert, Open]) -> int:
    return SEVERITY_ORDER.index(found[0].severity)


def _summary(alerts: Sequence[Alert], kinds: Sequence[Kind]) -> tuple[str, str]:
    if alerts:
        counts = [(one, sum(alert.severity is one for alert in alerts)) for one in SEVERITY_ORDER]
        told = ", ".join(f"{number} {severity}" for severity, number in counts if number)
        is_info = all(alert.severity is Severity.INFO for alert in alerts)
        many = "1 alert is open" if len(alerts) == 1 else f"{len(alerts)} alerts are open"
        return f"{many}: {told}", "info" if is_info else alerts[0].severity.value
    if all(kind.is_missing for kind in kinds):
        return "Nothing has been looked at yet", "unknown"
    if any(kind.is_missing or kind.stale for kind in kinds):
        return "No alert is open, but not everything is looked at", "unknown"
    return "No alert is open", "good"


def _worries(kinds: Sequence[Kind]) -> Iterator[str]:
    for kind in kinds:
        if kind.is_missing:
            yield f"{kind.title}: no report yet."
        elif kind.stale:
            yield f"{kind.title}: {kind.stale}."


def _unheard(alerts: Sequence[tuple[Alert, Open]], now: datetime) -> Iterator[str]:
    concern = (one for alert, one in alerts if alert.resolved_at is None or alert.resolved_at >= now - OF_CONCERN)
    number = sum(told.failed for one in concern for told in one.told)
    if number:
        yield "1 notice did not reach anybody." if number == 1 else f"{number} notices did not reach anybody."


def _open(alert: Alert, notices: Sequence[Notice], now: datetime) -> Open:
    return Open(
        severity=alert.severity.value,
        urgency=SEVERITY_WORDS[alert.severity],
        title=alert.title,
        text=alert.text,
        since=clock(alert.opened_at),
        age=in_words((alert.resolved_at or now) - alert.opened_at),
        resolved=clock(alert.resolved_at) if alert.resolved_at else "",
        told=tuple(map(_told, notices)),
    )


def _told(notice: Notice) -> Told:
    what = EVENT_WORDS[notice.event.value]
    tried = f" after {notice.attempts} attempt{'' if notice.attempts == 1 else 's'}" if notice.attempts else ""
    because = f": {notice.error}" if notice.error else ""
    if notice.state is NoticeState.SENT:
        return Told(text=f"{what}{notice.channel}, {clock(notice.sent_at or notice.created_at)}", failed=False)
    if notice.state is NoticeState.DEAD:
        return Told(text=f"{what}{notice.channel} was not reached{tried}, given up{because}", failed=True)
    if notice.error:
        return Told(text=f"{what}{notice.channel} is not reached yet{tried}{because}", failed=True)
    return Told(text=f"{what}{notice.channel}, waits to be sent", failed=False)


def _kind(kind: ReportKind, history: History, allowed: timedelta) -> Kind:
    title, about = TITLES.get(kind.value, (kind.value.capitalize(), ""))
    report = history.newest.get(kind)
    named: dict[str, Any] = {"name": kind.value, "title": title, "about": about}
    if report is None:
        return Kind(
            **named, verdict="No report yet", tone="unknown", age="", made="", stale="", has_page=False, facts=(),
            findings=(), plots=(), untold=(),
        )  # fmt: skip
    age, found = history.end - report.computed_at, content(report)
    findings = tuple(_findings(found))
    every = trends(kind, history.seen.get(kind, ()))
    return Kind(
        **named,
        verdict="Flagged" if report.flag else "Nothing flagged",
        tone=_tone(findings) if report.flag else "good",
        age=in_words(age),
        made=clock(report.computed_at),
        stale=f"the report is {in_words(age)} old, allowed are {in_words(allowed)}" if age > allowed else "",
        has_page=kind in history.with_page,
        facts=tuple(_facts(found, report.begin, report.end)),
        findings=findings,
        plots=tuple(_plot(trend, history) for trend in every if not trend.is_empty),
        untold=tuple(trend.title for trend in every if trend.is_empty),
    )


def _facts(found: Mapping[str, Any], begin: datetime, end: datetime) -> Iterator[str]:
    yield f"of {begin:%Y-%m-%d} to {end:%Y-%m-%d}"
    if isinstance(found.get("analyses"), int):
        yield f"{found['analyses']:,} ECGs"
    read = part(found, "overreads").get("n", found.get("overreads"))
    if isinstance(read, int):
        yield f"{read:,} over-read"
    if isinstance(features := found.get("features"), list):
        yield f"{len(features):,} features"


def _findings(found: Mapping[str, Any]) -> Iterator[Finding]:
    listed = found.get("findings")
    for one in map(part, listed if isinstance(listed, list) else ()):
        flag = one.get("flag") if isinstance(one.get("flag"), bool) else None
        severity = str(one.get("severity"))
        tone = {True: severity if severity in SEVERITY_ORDER else "warning", False: "good", None: "unknown"}[flag]
        yield Finding(title=_text(one, "title"), text=_text(one, "text"), verdict=FLAG_WORDS[flag], tone=tone)


def _tone(findings: Sequence[Finding]) -> str:
    """That of what is worst."""
    return next((one.value for one in SEVERITY_ORDER if any(f.tone == one for f in findings)), Severity.WARNING.value)


def _text(found: Mapping[str, Any], name: str) -> str:
    return str(found.get(name, ""))


def _plot(trend: Trend, history: History) -> Plot:
    times = [point.at for point in trend.lines[0].points]
    rows = [
        (f"{at:%Y-%m-%d %H:%M}", *(_cell(trend, line_number, place) for line_number in range(len(trend.lines))))
        for place, at in enumerate(times)
    ]
    return Plot(
        id=trend.id,
        title=trend.title,
        about=trend.about,
        chart=chart(trend, history.begin, history.end),
        names=tuple(line.name for line in trend.lines),
        rows=tuple(reversed(rows)),
    )


def _cell(trend: Trend, line: int, place: int) -> str:
    figure = trend.lines[line].points[place].figure
    return "-" if figure is None else figure_words(figure, trend)
