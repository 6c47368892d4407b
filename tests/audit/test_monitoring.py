"""Reports, alerts and what is observed, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from audit.monitoring_records import (
    Alert,
    MonitoringReport,
    Notice,
    NoticeEvent,
    NoticeState,
    ReportKind,
    Severity,
)
from audit.records import AcknowledgementState, OverreadRow, ProcessingState
from audit.store import Store
from inference.errors import NotFound
from tests.audit.values import analysis, received
from tests.fakes import NOW

MINUTE = timedelta(minutes=1)
ALERT = Alert(key="drift", severity=Severity.WARNING, title="Drift", text="noise", opened_at=NOW, seen_at=NOW)


def report(kind: ReportKind = ReportKind.DRIFT, minutes: int = 0, page: bytes | None = None) -> MonitoringReport:
    at = NOW + minutes * MINUTE
    return MonitoringReport(
        kind=kind, computed_at=at, begin=at - timedelta(days=1), end=at, flag=True, content=b'{"a":1}', page=page
    )


def overread(id: str, report_id: str, minutes: int) -> OverreadRow:
    return OverreadRow(
        id=id,
        report_id=report_id,
        at=NOW + minutes * MINUTE,
        practitioner="Practitioner/7",
        status_before="preliminary",
        status_after="final",
        agreed=True,
        findings={"MI": True, "CD": None},
        detail=b"{}",
    )


def test_the_newest_report_of_a_kind_has_the_page_and_earlier_ones_their_content(store: Store) -> None:
    first, second = report(page=b"<p>1"), report(minutes=5, page=b"<p>2")
    with store.unit_of_work() as uow:
        ids = [uow.reports.add(one) for one in (first, second, report(ReportKind.BIAS, page=b"<p>b"))]
    with store.reader() as reader:
        assert reader.reports.newest(ReportKind.DRIFT) == replace(second, id=ids[1])
        bias = reader.reports.newest(ReportKind.BIAS)
        assert bias is not None
        assert bias.page == b"<p>b"
        assert reader.reports.newest(ReportKind.PERFORMANCE) is None
        found = reader.reports.since(ReportKind.DRIFT, NOW)
        assert found == [replace(first, id=ids[0], page=None), replace(second, id=ids[1], page=None)]
        assert reader.reports.since(ReportKind.DRIFT, NOW + MINUTE) == found[1:]


def test_of_one_key_one_alert_is_open_and_one_that_is_resolved_may_open_anew(store: Store) -> None:
    later = replace(ALERT, seen_at=NOW + MINUTE, text="noise, heart rate", severity=Severity.CRITICAL)
    with store.unit_of_work() as uow:
        first, is_new = uow.alerts.see(ALERT)
        assert is_new
        again, is_new = uow.alerts.see(later)
        assert not is_new
        assert again == replace(later, id=first.id)
        assert uow.alerts.resolve("bias", NOW) is None
        resolved = uow.alerts.resolve("drift", NOW + 2 * MINUTE)
        assert resolved == replace(again, resolved_at=NOW + 2 * MINUTE)
        assert uow.alerts.resolve("drift", NOW) is None
        new, is_new = uow.alerts.see(ALERT)
        assert is_new
        assert [one.id for one in uow.alerts.list(open_only=True, limit=9)] == [new.id]
        assert [one.id for one in uow.alerts.list(open_only=False, limit=9)] == [new.id, first.id]


def test_a_notice_waits_is_tried_again_and_ends_sent_or_dead(store: Store) -> None:
    with store.unit_of_work() as uow:
        alert, _ = uow.alerts.see(ALERT)
        assert alert.id is not None
        mail, slack = (
            uow.alerts.tell(Notice(alert_id=alert.id, event=NoticeEvent.OPENED, channel=name, created_at=NOW))
            for name in ("mail", "slack")
        )
        assert [notice.id for notice, _ in uow.alerts.due(NOW, 9)] == [mail, slack]
        assert {found for _, found in uow.alerts.due(NOW, 9)} == {alert}
        uow.alerts.failed(mail, "no such host", NOW + MINUTE)
        uow.alerts.told(slack, NOW)
        assert uow.alerts.due(NOW, 9) == []
        ((waiting, _),) = uow.alerts.due(NOW + MINUTE, 9)
        assert (waiting.id, waiting.attempts, waiting.error) == (mail, 1, "no such host")
        uow.alerts.failed(mail, "no such host", None)
        dead, sent = uow.alerts.notices(alert.id)
        assert (dead.state, dead.attempts) == (NoticeState.DEAD, 2)
        assert (sent.state, sent.sent_at, sent.attempts) == (NoticeState.SENT, NOW, 1)
        with pytest.raises(NotFound):
            uow.alerts.told(mail, NOW)
        with pytest.raises(NotFound):
            uow.alerts.failed(99, "", None)


def test_analyses_are_observed_in_their_order_with_what_clinicians_made_of_them_last(store: Store) -> None:
    with store.unit_of_work() as uow:
        inbox = uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)
        rows = [
            replace(analysis(f"a-{number}", inbox), analyzed_at=NOW + number * MINUTE, features=bytes([number] * 4))
            for number in range(4)
        ]
        for row in reversed(rows):
            uow.analyses.add(row)
        for one in (overread("o-1", "a-1", 10), overread("o-2", "a-1", 20), overread("o-3", "a-2", 15)):
            uow.overreads.add(one)
        uow.overreads.add(overread("o-4", "a-9", 12))  # of no analysis
    with store.reader() as reader:
        seen = reader.observed
        assert list(seen.analyses(NOW + MINUTE, NOW + 3 * MINUTE)) == rows[1:3]
        assert seen.newest(2, NOW + 3 * MINUTE) == rows[1:3]
        assert [(row.id, one.id) for row, one in seen.overread(NOW, NOW + 60 * MINUTE)] == [
            ("a-2", "o-3"),
            ("a-1", "o-2"),
        ]
        assert seen.overread(NOW, NOW + 12 * MINUTE) == []  # the newest of a-1 came later
        at = received().received_at
        assert seen.received(at, at + MINUTE) == {(received().door, "analysed"): 1}
