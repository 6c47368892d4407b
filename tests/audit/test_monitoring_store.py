"""Monitoring over a real store: what is read, kept, opened and resolved."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from audit.monitoring_records import Alert, NoticeEvent, ReportKind, Severity
from audit.monitoring_store import MonitoringStore
from audit.records import AcknowledgementState, ProcessingState, UnitOfWork
from audit.store import Store
from tests.audit.values import analysis, received
from tests.fakes import NOW

DAY = timedelta(days=1)


@dataclass
class Window:
    begin: datetime = NOW - DAY
    end: datetime = NOW


@dataclass
class Finding:
    key: str
    flag: bool | None
    severity: str = "warning"
    title: str = "Urgent rate by sex"
    text: str = "0.57"


@dataclass
class Report:
    findings: list[Finding]
    kind: str = "bias"
    computed_at: datetime = NOW
    window: Window = field(default_factory=Window)
    flag: bool = True
    encoded: bytes = b'{"flag":true}'
    page: bytes | None = None


def test_a_flag_opens_an_alert_the_end_of_it_resolves_it_and_what_cannot_be_told_leaves_it(store: Store) -> None:
    told: list[NoticeEvent | None] = []

    def tell(uow: UnitOfWork, alert: Alert, news: NoticeEvent | None) -> None:
        assert alert.key == "bias:sex"
        told.append(news)

    monitored = MonitoringStore(store, tell)

    def keep(flag: bool | None) -> list[Alert]:
        monitored.keep(Report([Finding("bias:sex", flag), Finding("bias:age", None)]))
        with store.reader() as reader:
            return list(reader.alerts.list(open_only=True, limit=9))

    (alert,) = keep(True)
    assert (alert.key, alert.severity, alert.text) == ("bias:sex", Severity.WARNING, "0.57")
    assert len(keep(True)) == 1  # seen again
    assert len(keep(None)) == 1  # too few to judge
    assert keep(False) == []
    assert told == [NoticeEvent.OPENED, None, NoticeEvent.RESOLVED]
    with store.reader() as reader:
        newest = reader.reports.newest(ReportKind.BIAS)
        assert newest is not None
        assert (newest.begin, newest.end, newest.content) == (NOW - DAY, NOW, b'{"flag":true}')
        (state,) = reader.reports.states()
        assert (state.kind, state.flag, state.computed_at) == (ReportKind.BIAS, True, NOW)


def test_a_long_window_is_read_day_by_day_without_a_gap(store: Store) -> None:
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        rows = [
            replace(analysis(f"a-{hours:02}", inbox), analyzed_at=NOW + timedelta(hours=hours))
            for hours in range(0, 96, 12)
        ]
        for row in rows:
            uow.analyses.add(row)
    monitored = MonitoringStore(store)
    assert list(monitored.analyses(NOW, NOW + 4 * DAY)) == rows
    assert list(monitored.analyses(NOW + DAY, NOW + 2 * DAY)) == rows[2:4]
    assert monitored.newest(2, NOW + 4 * DAY) == rows[-2:]
    assert monitored.overread(NOW, NOW + DAY) == []
    at = received().received_at
    assert monitored.received(at, at + DAY) == {(received().door, "analysed"): 1}
