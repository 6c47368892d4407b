"""What the page of monitoring reads from the store, in one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from audit.monitoring_records import Alert, MonitoringReport, Notice, ReportKind
from audit.records import Reader
from interop.monitoring.measures import Seen

MOST_POINTS = 90  # of a line: one for each day of the usual window, and hardly more than a plot has room for
MOST_ALERTS = 100


@dataclass(frozen=True, slots=True)
class History:
    """alerts: open ones and those resolved since `begin`, newest first, with who was told. newest: report of each kind
    that has one, without its page. with_page: kinds whose newest report has one. seen: of each kind, from the oldest
    to the newest."""

    begin: datetime
    end: datetime
    alerts: Sequence[tuple[Alert, Sequence[Notice]]]
    newest: Mapping[ReportKind, MonitoringReport]
    with_page: frozenset[ReportKind]
    seen: Mapping[ReportKind, Sequence[Seen]]


def gather(store: Reader, kinds: Sequence[ReportKind], now: datetime, days: int) -> History:
    """Everything of the last days. Raises StorageUnavailable."""
    begin = now - timedelta(days=days)
    newest = {kind: found for kind in kinds if (found := store.reports.newest(kind))}
    return History(
        begin=begin,
        end=now,
        alerts=_alerts(store, begin),
        newest=newest,
        with_page=frozenset(kind for kind, report in newest.items() if report.page is not None),
        seen={kind: _seen(store.reports.spread(kind, begin, now, MOST_POINTS)) for kind in kinds},
    )


def content(report: MonitoringReport) -> Mapping[str, Any]:
    """Of a report, as it was stored."""
    found = orjson.loads(report.content)
    return found if isinstance(found, Mapping) else {}


def _seen(reports: Sequence[MonitoringReport]) -> list[Seen]:
    return [Seen(at=report.computed_at, content=content(report)) for report in reports]


def _alerts(store: Reader, begin: datetime) -> list[tuple[Alert, Sequence[Notice]]]:
    found = store.alerts.list(open_only=True, limit=MOST_ALERTS)
    every = store.alerts.list(open_only=False, limit=MOST_ALERTS)
    closed = [alert for alert in every if alert.resolved_at is not None and alert.resolved_at >= begin]
    return [(alert, store.alerts.notices(alert.id) if alert.id is not None else ()) for alert in (*found, *closed)]
