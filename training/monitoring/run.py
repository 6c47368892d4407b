"""One run of monitoring: look at a window, store the report, open and close alerts. The command line and the pipeline
both call it, each with the store that it has opened.

A kind of report is a function (Observed, Window) -> Outcome and a row of `MONITORS`. An alert whose key belongs to the
kind is opened or seen again where its finding is flagged, resolved where it is not, and left as it is where nothing can
be told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson

from training.monitoring import bias, performance, shadow
from training.monitoring.observed import Observed, Window
from training.monitoring.outcome import Finding, Outcome

DAYS = 30.0  # of a window; over-reads come slowly

Monitor = Callable[[Observed, Window], Outcome]

MONITORS: Mapping[str, Monitor] = {
    "bias": bias.monitor,
    "performance": performance.monitor,
    "shadow": shadow.monitor,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is stored, and shown. kind: of `audit.monitoring_records.ReportKind`."""

    kind: str
    computed_at: datetime
    window: Window
    flag: bool
    content: Mapping[str, Any]
    findings: Sequence[Finding]
    page: bytes | None = field(default=None, repr=False)

    @property
    def encoded(self) -> bytes:
        """The content as JSON."""
        return orjson.dumps(self.content)


class MonitoringStore(Observed, Protocol):
    """What is looked at, and where reports and alerts go."""

    def keep(self, report: Report) -> None:
        """Store the report and see or resolve its alerts, all in one transaction."""


def run(
    kind: str,
    store: MonitoringStore,
    *,
    now: datetime,
    days: float = DAYS,
    monitors: Mapping[str, Monitor] = MONITORS,
) -> Report:
    """Look at the last days, store what was found and give it back. Raises KeyError for an unknown kind, ValueError
    for no days, what the store raises."""
    window = Window.before(now, days)
    outcome = monitors[kind](store, window)
    content = {
        "computed_at": now.isoformat(),
        "window": window.to_json(),
        "flag": outcome.flag,
        "findings": [
            {"key": one.key, "flag": one.flag, "severity": one.severity, "title": one.title, "text": one.text}
            for one in outcome.findings
        ],
        **outcome.content,
    }
    report = Report(
        kind=kind,
        computed_at=now,
        window=window,
        flag=outcome.flag,
        content=content,
        findings=outcome.findings,
        page=outcome.page,
    )
    store.keep(report)
    return report
