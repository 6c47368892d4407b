"""Who is told of an alert, and what waits to be sent.

Notices are queued in the transaction of their alert, one for each channel, and sent later by whoever comes first: the
command or the pipeline that has made the report, or a running service. Each attempt is claimed before it is made, so
that no two make it at once; a claim ends by itself, so that one whose process was lost is made again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from audit.monitoring_records import Alert, Notice, NoticeEvent, NoticeState, Severity
from audit.monitoring_store import Transactions
from audit.records import UnitOfWork
from inference.errors import NotFound

T = TypeVar("T")

# An attempt takes a minute at most (`training.monitoring.telling.SEND_SECONDS`).
CLAIM = timedelta(minutes=5)
# For so long a dead notice of an alert that is over is shown and counted.
OF_CONCERN = timedelta(days=7)


class ChannelSeen(Protocol):
    """What is asked of `training.monitoring.channels.Channel`."""

    @property
    def name(self) -> str:
        """As it is stored."""
        ...

    @property
    def least(self) -> str:
        """A word of `Severity`: milder alerts are not told."""
        ...


class Telling:
    """Queues the notices of an alert: `audit.monitoring_store.Tell`."""

    def __init__(self, channels: Sequence[ChannelSeen]) -> None:
        self._channels = channels

    def __call__(self, uow: UnitOfWork, alert: Alert, news: NoticeEvent | None) -> None:
        """news: None where it was only seen again. Who has not been told of it yet is told now, be it that it was too
        mild for the channel until now or that the channel is new. The end is told to those who were or will be told of
        the beginning."""
        if alert.id is None:
            raise ValueError("an alert that is stored has an id")
        earlier = uow.alerts.notices(alert.id)
        told = {notice.channel for notice in earlier if notice.state is not NoticeState.DEAD}
        begun = {notice.channel for notice in earlier}
        for channel in self._channels:
            event = _event(channel.name in told, channel.name in begun, _concerns(channel, alert), news)
            if event is not None:
                at = alert.resolved_at or alert.seen_at
                uow.alerts.tell(Notice(alert_id=alert.id, event=event, channel=channel.name, created_at=at))


def _event(told: bool, begun: bool, concerned: bool, news: NoticeEvent | None) -> NoticeEvent | None:
    if news is NoticeEvent.RESOLVED:
        return news if told else None
    if not concerned:
        return None
    if not begun:
        return NoticeEvent.OPENED
    return news if news is NoticeEvent.WORSENED else None


def _concerns(channel: ChannelSeen, alert: Alert) -> bool:
    return alert.severity not in Severity(channel.least).milder


class Transact(Protocol):
    """Runs a job in one transaction. Raises StorageUnavailable, or what the job raises."""

    def __call__(self, job: Callable[[UnitOfWork], T]) -> T:
        """Gives what the job gives, once it is durable."""
        ...


def transact_in(store: Transactions) -> Transact:
    """In transactions of a store that nobody else writes to."""

    def transact(job: Callable[[UnitOfWork], T]) -> T:
        with store.unit_of_work() as uow:
            return job(uow)

    return transact


class NoticeQueue:
    """What waits to be sent. Everything raises StorageUnavailable."""

    def __init__(self, transact: Transact, clock: Callable[[], datetime]) -> None:
        self._transact = transact
        self._clock = clock

    def claim(self, channel: str) -> tuple[Notice, Alert] | None:
        """Begin an attempt at the oldest notice to a channel that is due; None where none is."""
        now = self._clock()
        return self._transact(lambda uow: uow.alerts.claim(channel, now, now + CLAIM))

    def sent(self, notice: Notice) -> None:
        """The attempt succeeded."""
        now = self._clock()
        self._settle(notice, lambda uow, number: uow.alerts.told(number, now))

    def failed(self, notice: Notice, reason: str, pause: timedelta | None) -> None:
        """It did not: try again after a pause, or None: never."""
        again = None if pause is None else self._clock() + pause
        self._settle(notice, lambda uow, number: uow.alerts.failed(number, reason, again))

    def _settle(self, notice: Notice, how: Callable[[UnitOfWork, int], None]) -> None:
        number = notice.id
        if number is None:
            raise ValueError("a notice that was claimed has an id")
        try:
            self._transact(lambda uow: how(uow, number))
        except NotFound:
            return  # a write that seemed to fail has taken effect, or the claim ended and another has sent it
