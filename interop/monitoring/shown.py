"""Reports and alerts as they are shown. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import orjson

from audit.monitoring_records import Alert, MonitoringReport, Notice, ReportKind
from interop.resources.codes import Json
from interop.settings import Settings

# The kinds that are served, each computed on a schedule.
KINDS = (ReportKind.DRIFT, ReportKind.BIAS, ReportKind.PERFORMANCE, ReportKind.SHADOW)


def allowed_ages(settings: Settings) -> Mapping[ReportKind, timedelta]:
    """How old a report of a kind may be before it is stale."""
    return {
        ReportKind.DRIFT: settings.monitoring_drift_max_age,
        ReportKind.BIAS: settings.monitoring_bias_max_age,
        ReportKind.PERFORMANCE: settings.monitoring_performance_max_age,
        ReportKind.SHADOW: settings.monitoring_shadow_max_age,
    }


def report_json(report: MonitoringReport, now: datetime, allowed: timedelta) -> Json:
    """As it was stored, and whether it is too old to say how things are."""
    content: Json = orjson.loads(report.content)
    return content | {"stale": now - report.computed_at > allowed}


def alert_json(alert: Alert, notices: Sequence[Notice]) -> Json:
    """With who was told."""
    return {
        "key": alert.key,
        "severity": alert.severity,
        "title": alert.title,
        "text": alert.text,
        "opened_at": alert.opened_at.isoformat(),
        "seen_at": alert.seen_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        "notices": [_notice_json(notice) for notice in notices],
    }


def _notice_json(notice: Notice) -> Json:
    return {
        "id": notice.id,
        "event": notice.event,
        "channel": notice.channel,
        "state": notice.state,
        "attempts": notice.attempts,
        "created_at": notice.created_at.isoformat(),
        "sent_at": notice.sent_at.isoformat() if notice.sent_at else None,
        "next_attempt_at": notice.next_attempt_at.isoformat() if notice.next_attempt_at else None,
        "error": notice.error,
    }
