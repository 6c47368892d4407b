"""Who is told of an alert and when, over a real store."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from audit.monitoring_records import Notice, NoticeEvent, NoticeState
from audit.monitoring_store import ABANDONED, MonitoringStore
from audit.notices import CLAIM, NoticeQueue, Telling, transact_in
from audit.store import Store
from tests.audit.test_monitoring_store import Finding, Report
from tests.fakes import NOW, FixedClock

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class To:
    name: str
    least: str


CHAT, MAIL, PAGER = To("chat", "info"), To("mail", "warning"), To("pager", "critical")


def seen(
    store: Store, severity: str | None, at: datetime = NOW, *, to: tuple[To, ...] = (CHAT, MAIL, PAGER)
) -> list[tuple[str, str]]:
    """One run of a monitor that finds the thing that severe, or well (None). Gives the notices that it has queued."""
    finding = Finding("bias:sex", severity is not None, severity or "info")
    before = len(queued(store))
    MonitoringStore(store, Telling(to)).keep(Report([finding], computed_at=at))
    return [(notice.channel, notice.event.value) for notice in queued(store)[before:]]


def queued(store: Store) -> list[Notice]:
    with store.reader() as reader:
        alerts = reader.alerts.list(open_only=False, limit=9)
        return [notice for alert in reversed(alerts) if alert.id for notice in reader.alerts.notices(alert.id)]


def queue(store: Store, clock: FixedClock | None = None) -> NoticeQueue:
    return NoticeQueue(transact_in(store), clock or FixedClock())


def test_a_channel_is_told_from_its_least_severity_on_and_once(store: Store) -> None:
    assert seen(store, "warning") == [("chat", "opened"), ("mail", "opened")]
    assert seen(store, "warning") == []
    assert seen(store, None) == [("chat", "resolved"), ("mail", "resolved")]
    assert seen(store, None) == []
    assert seen(store, "warning") == [("chat", "opened"), ("mail", "opened")], "it opens anew"


def test_what_worsens_is_told_to_all_whom_it_now_concerns_and_once(store: Store) -> None:
    assert seen(store, "info") == [("chat", "opened")]
    assert seen(store, "warning") == [("chat", "worsened"), ("mail", "opened")]
    assert seen(store, "critical") == [("chat", "worsened"), ("mail", "worsened"), ("pager", "opened")]
    assert seen(store, "info") == seen(store, "critical") == [], "one that goes up and down is not told each time"
    assert seen(store, None) == [("chat", "resolved"), ("mail", "resolved"), ("pager", "resolved")]


def test_a_channel_that_is_set_up_later_hears_of_what_is_open(store: Store) -> None:
    assert seen(store, "warning", to=()) == []
    assert seen(store, "warning") == [("chat", "opened"), ("mail", "opened")]
    assert seen(store, None, to=(MAIL,)) == [("mail", "resolved")], "chat is no more"


def test_the_end_is_told_to_nobody_who_was_not_told_of_the_beginning(store: Store) -> None:
    seen(store, "warning", to=(MAIL, CHAT))
    claimed = queue(store).claim("mail")
    assert claimed is not None
    queue(store).failed(claimed[0], "no such box", None)
    assert seen(store, None) == [("chat", "resolved")]


def test_what_is_not_told_yet_when_it_ends_is_told_in_order(store: Store) -> None:
    seen(store, "warning", to=(MAIL,))
    seen(store, None, to=(MAIL,))
    got = [queue(store).claim("mail") for _ in range(2)]
    assert got[0] is not None
    assert (got[0][0].event, got[0][1].resolved_at, got[1]) == (NoticeEvent.OPENED, NOW, None)
    queue(store).sent(got[0][0])
    last = queue(store).claim("mail")
    assert last is not None
    assert last[0].event is NoticeEvent.RESOLVED


def test_an_attempt_that_nobody_settles_is_made_again_and_settling_it_twice_does_no_harm(store: Store) -> None:
    clock = FixedClock()
    seen(store, "critical", to=(PAGER,))
    first = queue(store, clock).claim("pager")
    assert first is not None
    assert queue(store, clock).claim("pager") is None
    clock.now += CLAIM
    second = queue(store, clock).claim("pager")
    assert second is not None
    assert second[0] == replace(first[0], attempts=2, next_attempt_at=clock.now + CLAIM)
    for one in (second, first):
        queue(store, clock).sent(one[0])
    (notice,) = queued(store)
    assert (notice.state, notice.sent_at, notice.attempts) == (NoticeState.SENT, clock.now, 2)


def test_a_notice_to_a_channel_that_is_no_more_ends_by_the_next_runs(store: Store) -> None:
    seen(store, "warning", to=(MAIL,))
    seen(store, "warning", NOW + ABANDONED, to=())
    assert queued(store)[0].state is NoticeState.WAITING
    seen(store, "warning", NOW + ABANDONED + HOUR, to=())
    (notice,) = queued(store)
    assert (notice.state, "such a channel" in (notice.error or "")) == (NoticeState.DEAD, True)
