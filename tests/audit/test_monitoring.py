"""Reports, alerts and what is observed, on both databases."""

from concurrent.futures import ThreadPoolExecutor
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
from audit.records import AcknowledgementState, OverreadRow, ProcessingState, UnitOfWork
from audit.store import Store, open_store
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
        found = reader.reports.spread(ReportKind.DRIFT, NOW, NOW + 5 * MINUTE, 9)
        assert found == [replace(first, id=ids[0], page=None), replace(second, id=ids[1], page=None)]
        assert reader.reports.spread(ReportKind.DRIFT, NOW + MINUTE, NOW + 5 * MINUTE, 9) == found[1:]


def test_of_many_reports_a_few_are_taken_over_the_whole_time_and_none_that_is_flagged_is_hidden(store: Store) -> None:
    flagged = {65, 70}
    with store.unit_of_work() as uow:
        for minute in range(0, 121):
            uow.reports.add(replace(report(minutes=minute, page=b"<p>"), flag=minute in flagged))
        uow.reports.add(report(ReportKind.BIAS, 30))
    with store.reader() as reader:
        found = reader.reports.spread(ReportKind.DRIFT, NOW, NOW + 120 * MINUTE, 4)
        assert [(one.computed_at - NOW) // MINUTE for one in found] == [29, 59, 70, 120]
        assert {(one.page, one.content) for one in found} == {(None, b'{"a":1}')}
        few = reader.reports.spread(ReportKind.BIAS, NOW, NOW + 120 * MINUTE, 4)
        assert [(one.computed_at - NOW) // MINUTE for one in few] == [30]
        assert reader.reports.spread(ReportKind.PERFORMANCE, NOW, NOW + MINUTE, 4) == []


def test_of_one_key_one_alert_is_open_and_one_that_is_resolved_may_open_anew(store: Store) -> None:
    later = replace(ALERT, seen_at=NOW + MINUTE, text="noise, heart rate", severity=Severity.CRITICAL)
    with store.unit_of_work() as uow:
        first, news = uow.alerts.see(ALERT)
        assert news is NoticeEvent.OPENED
        again, news = uow.alerts.see(later)
        assert news is NoticeEvent.WORSENED
        assert again == replace(later, id=first.id)
        assert uow.alerts.resolve("bias", NOW) is None
        resolved = uow.alerts.resolve("drift", NOW + 2 * MINUTE)
        assert resolved == replace(again, resolved_at=NOW + 2 * MINUTE)
        assert uow.alerts.resolve("drift", NOW) is None
        new, news = uow.alerts.see(ALERT)
        assert news is NoticeEvent.OPENED
        assert [one.id for one in uow.alerts.list(open_only=True, limit=9)] == [new.id]
        assert [one.id for one in uow.alerts.list(open_only=False, limit=9)] == [new.id, first.id]


def test_an_alert_is_as_severe_as_it_ever_was_and_worsens_once(store: Store) -> None:
    critical = replace(ALERT, severity=Severity.CRITICAL)
    with store.unit_of_work() as uow:
        seen = [uow.alerts.see(one) for one in (ALERT, critical, ALERT, critical)]
    assert [news for _, news in seen] == [NoticeEvent.OPENED, NoticeEvent.WORSENED, None, None]
    assert [alert.severity for alert, _ in seen] == [Severity.WARNING, *[Severity.CRITICAL] * 3]


def told(uow: UnitOfWork, alert: Alert, *channels: str, event: NoticeEvent = NoticeEvent.OPENED) -> list[int]:
    assert alert.id is not None
    return [
        uow.alerts.tell(Notice(alert_id=alert.id, event=event, channel=name, created_at=alert.seen_at))
        for name in channels
    ]


def test_a_notice_is_claimed_tried_again_and_ends_sent_or_dead_and_a_dead_one_may_be_tried_anew(store: Store) -> None:
    with store.unit_of_work() as uow:
        alert, _ = uow.alerts.see(ALERT)
        assert alert.id is not None
        mail, slack = told(uow, alert, "mail", "slack")
        claimed = uow.alerts.claim("mail", NOW, NOW + MINUTE)
        assert claimed is not None
        assert (claimed[0].id, claimed[0].attempts, claimed[1]) == (mail, 1, alert)
        assert uow.alerts.claim("mail", NOW, NOW + MINUTE) is None, "somebody has it"
        uow.alerts.failed(mail, "no such host", NOW + 2 * MINUTE)
        assert uow.alerts.claim("mail", NOW + MINUTE, NOW + 3 * MINUTE) is None, "not yet"
        assert uow.alerts.is_due(["mail"], NOW + 2 * MINUTE)
        assert not uow.alerts.is_due(["mail", "pager"], NOW + MINUTE)
        assert uow.alerts.counts(NOW) == {("mail", NoticeState.WAITING): 1, ("slack", NoticeState.WAITING): 1}
        assert uow.alerts.claim("slack", NOW, NOW + MINUTE)
        uow.alerts.told(slack, NOW)
        assert uow.alerts.claim("mail", NOW + 2 * MINUTE, NOW + 3 * MINUTE)
        uow.alerts.failed(mail, "no such host", None)
        dead, sent = uow.alerts.notices(alert.id)
        assert (dead.state, dead.attempts, dead.error) == (NoticeState.DEAD, 2, "no such host")
        assert (sent.state, sent.sent_at, sent.attempts) == (NoticeState.SENT, NOW, 1)
        for settled in (mail, 99):
            with pytest.raises(NotFound):
                uow.alerts.told(settled, NOW)
        uow.alerts.retry(mail, NOW + MINUTE)
        again = uow.alerts.claim("mail", NOW + MINUTE, NOW + 2 * MINUTE)
        assert again is not None
        assert again[0].attempts == 1
        with pytest.raises(NotFound):
            uow.alerts.retry(slack, NOW)


def test_a_crash_during_an_attempt_makes_the_notice_due_again(store: Store) -> None:
    with store.unit_of_work() as uow:
        told(uow, uow.alerts.see(ALERT)[0], "mail")
        assert uow.alerts.claim("mail", NOW, NOW + 5 * MINUTE)
    with store.unit_of_work() as uow:  # nobody said what came of it
        assert uow.alerts.claim("mail", NOW + 4 * MINUTE, NOW + 9 * MINUTE) is None
        again = uow.alerts.claim("mail", NOW + 5 * MINUTE, NOW + 10 * MINUTE)
    assert again is not None
    assert again[0].attempts == 2


def test_a_channel_hears_of_an_alert_in_order(store: Store) -> None:
    with store.unit_of_work() as uow:
        alert, _ = uow.alerts.see(ALERT)
        (opened,) = told(uow, alert, "mail")
        uow.alerts.claim("mail", NOW, NOW + 5 * MINUTE)
        uow.alerts.failed(opened, "down", NOW + 5 * MINUTE)
        (resolved,) = told(uow, alert, "mail", event=NoticeEvent.RESOLVED)
        assert uow.alerts.claim("mail", NOW, NOW + MINUTE) is None
        assert uow.alerts.claim("mail", NOW + 5 * MINUTE, NOW + 6 * MINUTE)
        uow.alerts.told(opened, NOW + 5 * MINUTE)
        last = uow.alerts.claim("mail", NOW + 5 * MINUTE, NOW + 6 * MINUTE)
        assert last is not None
        assert last[0].id == resolved


def test_of_two_processes_at_once_each_gets_another_notice(migrated_url: str) -> None:
    one, other = (open_store(migrated_url, chain_id=name) for name in ("one", "other"))
    keys = [f"drift:{number}" for number in range(20)]
    with one.unit_of_work() as uow:
        ids = [told(uow, uow.alerts.see(replace(ALERT, key=key))[0], "mail")[0] for key in keys]

    def claim_all(store: Store) -> list[int]:
        got: list[int] = []
        while True:
            with store.unit_of_work() as uow:
                found = uow.alerts.claim("mail", NOW, NOW + MINUTE)
            if found is None:
                return got
            assert found[0].id is not None
            got.append(found[0].id)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(claim_all, (one, other))
    assert sorted(first + second) == ids
    for store in (one, other):
        store.close()


def test_what_nobody_tries_any_more_is_given_up(store: Store) -> None:
    with store.unit_of_work() as uow:
        alert, _ = uow.alerts.see(ALERT)
        told(uow, alert, "gone", "mail")
        uow.alerts.claim("mail", NOW + 50 * MINUTE, NOW + 55 * MINUTE)
        uow.alerts.abandon(NOW + MINUTE, "nobody tries")
        assert alert.id is not None
        gone, mail = uow.alerts.notices(alert.id)
        assert (gone.state, gone.error, mail.state) == (NoticeState.DEAD, "nobody tries", NoticeState.WAITING)


def test_dead_notices_count_while_they_are_new_or_their_alert_is_open(store: Store) -> None:
    dead = {("mail", NoticeState.DEAD): 1}
    with store.unit_of_work() as uow:
        alert, _ = uow.alerts.see(ALERT)
        (mail,) = told(uow, alert, "mail")
        uow.alerts.claim("mail", NOW, NOW + MINUTE)
        uow.alerts.failed(mail, "no such host", None)
        assert uow.alerts.counts(NOW + MINUTE) == dead
        resolved = uow.alerts.resolve("drift", NOW + MINUTE)
        assert uow.alerts.counts(NOW) == dead
        assert uow.alerts.counts(NOW + MINUTE) == {}
        assert uow.alerts.of_concern(NOW, 9) == [resolved]
        assert uow.alerts.of_concern(NOW + MINUTE, 9) == []


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
