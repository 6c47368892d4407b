"""`GET /monitoring/drift`, `/bias`, `/performance`, `/shadow`: the newest stored report of each kind;
`/alerts`: what is open.

A page of a report is made by libraries of others and brings its own scripts. It goes out in a sandbox of its own
(Content Security Policy Level 3, section 6.3.2): an origin that shares nothing with the service, loads nothing, sends
nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from fastapi import APIRouter, Response

from audit.monitoring_records import Alert, MonitoringReport, Notice, ReportKind
from audit.notices import OF_CONCERN
from audit.records import Reader
from inference.errors import NotFound
from interop.intake import Intake
from interop.monitoring.shown import KINDS, alert_json, allowed_ages, report_json
from interop.problem import MEDIA_TYPE
from interop.settings import Settings

PATH = "/monitoring"
JSON, HTML = "application/json", "text/html; charset=utf-8"
MOST_ALERTS = 100  # of one key only one is open, and there are fewer keys

GUARDS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PAGE_GUARDS = GUARDS | {
    "Content-Security-Policy": "; ".join(
        (
            "sandbox allow-scripts",
            "default-src 'none'",
            "script-src 'unsafe-inline' 'unsafe-eval' data: blob:",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Referrer-Policy": "no-referrer",
}

INTERVAL = {
    "type": ["object", "null"],
    "properties": {name: {"type": "number"} for name in ("value", "low", "high")},
}
SPECIFIC: dict[ReportKind, dict[str, Any]] = {
    ReportKind.DRIFT: {"features": {"type": "array", "items": {"type": "object"}}},
    ReportKind.BIAS: {"groups": {"type": "object"}, "equalized_odds": {"type": "object"}},
    ReportKind.PERFORMANCE: {
        "macro_auc": INTERVAL,
        "classes": {"type": "object"},
        "latency": {"type": "object"},
        "errors": {"type": "object"},
    },
    ReportKind.SHADOW: {
        "judgement": {"type": "string"},
        "shadow": {"type": ["object", "null"]},
        "urgent": {"type": "object"},
        "classes": {"type": "object"},
    },
}


class Format(StrEnum):
    """How a report is shown."""

    JSON = "json"
    HTML = "html"


def router(intake: Intake, settings: Settings) -> APIRouter:
    """The four routes."""
    routes = APIRouter(tags=["monitoring"])
    views = Views(intake, settings)
    for kind in KINDS:
        routes.add_api_route(
            f"{PATH}/{kind}",
            views.of(kind),
            summary=f"The newest {kind} report",
            response_class=Response,
            responses={200: _described(kind), 404: {"description": "None yet", "content": {MEDIA_TYPE: {}}}},
        )
    routes.add_api_route(
        f"{PATH}/alerts", views.alerts, summary="What somebody has to look at", response_class=Response
    )
    return routes


class Views:
    """The endpoints."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._ages = allowed_ages(settings)

    def of(self, kind: ReportKind) -> Any:
        """The endpoint of one kind. It raises NotFound, StorageUnavailable."""

        async def newest(format: Format = Format.JSON) -> Response:
            report = await self._intake.read(lambda store: store.reports.newest(kind))
            if report is None:
                raise NotFound(f"there is no {kind} report yet: run `ecg-interop monitor {kind}`")
            return self._page(report) if format is Format.HTML else self._json(report)

        return newest

    async def alerts(self) -> Response:
        """Those that are open, and those that are over and not told yet, newest first. Raises StorageUnavailable."""
        since = self._intake.clock() - OF_CONCERN
        found = await self._intake.read(lambda store: _alerts(store, since))
        return _json({"alerts": [alert_json(alert, notices) for alert, notices in found]})

    def _json(self, report: MonitoringReport) -> Response:
        return _json(report_json(report, self._intake.clock(), self._ages[report.kind]))

    def _page(self, report: MonitoringReport) -> Response:
        if report.page is None:
            raise NotFound(f"the newest {report.kind} report has no page")
        return Response(report.page, media_type=HTML, headers=PAGE_GUARDS)


def _alerts(store: Reader, since: datetime) -> list[tuple[Alert, Sequence[Notice]]]:
    found = store.alerts.of_concern(since, MOST_ALERTS)
    return [(alert, store.alerts.notices(alert.id) if alert.id is not None else ()) for alert in found]


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type=JSON, headers=GUARDS)


def _described(kind: ReportKind) -> dict[str, Any]:
    """For OpenAPI: what every report has, and what this kind has beside it."""
    properties = {
        "computed_at": {"type": "string", "format": "date-time"},
        "window": {"type": "object"},
        "flag": {"type": "boolean"},
        "stale": {"type": "boolean"},
        **SPECIFIC[kind],
    }
    schema = {"type": "object", "required": ["computed_at", "window", "flag", "stale"], "properties": properties}
    return {"description": "The report", "content": {JSON: {"schema": schema}, "text/html": {}}}
