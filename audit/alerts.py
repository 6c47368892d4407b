"""What somebody has to look at, and who was told.

Of one key only one alert is open: a unique index says so, also where several processes look at the same thing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from audit.columns import storable
from audit.insert import insert_if_absent
from audit.monitoring_records import Alert, Notice, NoticeEvent, NoticeState, Severity
from audit.schema import alert_notices as notices
from audit.schema import alerts
from inference.errors import NotFound

_OPEN = alerts.c.resolved_at.is_(None)
_WAITING = notices.c.state == NoticeState.WAITING
_EARLIER = notices.alias("earlier")
# Of one alert a channel hears in order: that it opened before that it is over.
_FIRST = (
    ~select(_EARLIER.c.id)
    .where(
        _EARLIER.c.alert_id == notices.c.alert_id,
        _EARLIER.c.channel == notices.c.channel,
        _EARLIER.c.state == NoticeState.WAITING,
        _EARLIER.c.id < notices.c.id,
    )
    .exists()
)


class SqlAlerts:
    """`audit.monitoring_records.Alerts` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def see(self, alert: Alert) -> tuple[Alert, NoticeEvent | None]:
        """Open it, or note on the open one of its key that it was seen again (with its title and text as they are now,
        and its severity where that is worse). Gives the stored alert, and what is new about it: opened, worsened or
        nothing."""
        as_seen = {"title": storable(alert.title), "text": storable(alert.text), "seen_at": alert.seen_at}
        values = {"key": alert.key, "severity": alert.severity, "opened_at": alert.opened_at, "resolved_at": None}
        added = insert_if_absent(self._connection, alerts, values | as_seen)
        if added is not None:
            return replace(alert, id=int(added[0]), resolved_at=None), NoticeEvent.OPENED
        of_key = (alerts.c.key == alert.key, _OPEN)
        # It never falls: one that goes up and down would be told each time.
        worse = update(alerts).where(*of_key, alerts.c.severity.in_(alert.severity.milder))
        worsened = self._connection.execute(worse.values(severity=alert.severity)).rowcount == 1
        seen = update(alerts).where(*of_key).values(as_seen).returning(alerts)
        return _alert(self._connection.execute(seen).one()), NoticeEvent.WORSENED if worsened else None

    def resolve(self, key: str, at: datetime) -> Alert | None:
        """Close the open one of a key; None where none is open."""
        closed = update(alerts).where(alerts.c.key == key, _OPEN).values(resolved_at=at).returning(alerts)
        row = self._connection.execute(closed).first()
        return None if row is None else _alert(row)

    def list(self, *, open_only: bool, limit: int) -> Sequence[Alert]:
        """Newest first."""
        query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
        rows = self._connection.execute(query.where(_OPEN) if open_only else query)
        return [_alert(row) for row in rows]

    def of_concern(self, since: datetime, limit: int) -> Sequence[Alert]:
        """Those that are open, and those with a notice that waits or, made since then, is dead. Newest first."""
        untold = select(notices.c.alert_id).where(_WAITING | _dead(notices.c.created_at >= since))
        query = select(alerts).where(_OPEN | alerts.c.id.in_(untold)).order_by(alerts.c.id.desc()).limit(limit)
        return [_alert(row) for row in self._connection.execute(query)]

    def tell(self, notice: Notice) -> int:
        """Queue a notice."""
        names = (
            "alert_id",
            "event",
            "channel",
            "state",
            "attempts",
            "next_attempt_at",
            "created_at",
            "sent_at",
            "error",
        )
        added = insert_if_absent(self._connection, notices, {name: getattr(notice, name) for name in names})
        assert added is not None, "a generated number is new"
        return int(added[0])

    def is_due(self, channels: Sequence[str], now: datetime) -> bool:
        """Whether the time of a notice to one of these channels has come."""
        query = select(notices.c.id).where(notices.c.channel.in_(channels), *_due(now)).limit(1)
        return self._connection.execute(query).first() is not None

    def claim(self, channel: str, now: datetime, until: datetime) -> tuple[Notice, Alert] | None:
        """Begin an attempt at the oldest notice to a channel whose time has come; nobody else gets it before `until`.
        Those of one alert come in their order. None where none is due."""
        oldest = select(notices.c.id).where(notices.c.channel == channel, *_due(now)).order_by(notices.c.id).limit(1)
        oldest = oldest.correlate(None)
        free = oldest.with_for_update(skip_locked=True, of=notices).scalar_subquery()  # as if it were not there: SQLite
        taken = update(notices).where(notices.c.id == free)
        attempt = {"attempts": notices.c.attempts + 1, "next_attempt_at": until}
        row = self._connection.execute(taken.values(attempt).returning(notices)).first()
        if row is None:
            return None
        about = self._connection.execute(select(alerts).where(alerts.c.id == row.alert_id)).one()
        return _notice(row), _alert(about)

    def told(self, id: int, at: datetime) -> None:
        """A notice was sent. Raises NotFound."""
        values = {"state": NoticeState.SENT, "sent_at": at, "error": None, "next_attempt_at": None}
        self._change(id, NoticeState.WAITING, values)

    def failed(self, id: int, error: str, next_attempt_at: datetime | None) -> None:
        """It was not: try again at that time, or None: it is dead. Raises NotFound."""
        state = NoticeState.DEAD if next_attempt_at is None else NoticeState.WAITING
        values = {"state": state, "error": storable(error), "next_attempt_at": next_attempt_at}
        self._change(id, NoticeState.WAITING, values)

    def retry(self, id: int, now: datetime) -> None:
        """Have a dead notice wait again, with all its attempts. Raises NotFound."""
        values = {"state": NoticeState.WAITING, "attempts": 0, "next_attempt_at": now}
        self._change(id, NoticeState.DEAD, values)

    def abandon(self, before: datetime, error: str) -> None:
        """Give up what was due before then and nobody has tried since."""
        since_when = func.coalesce(notices.c.next_attempt_at, notices.c.created_at)
        forgotten = update(notices).where(_WAITING, since_when < before)
        self._connection.execute(forgotten.values(state=NoticeState.DEAD, error=error, next_attempt_at=None))

    def counts(self, since: datetime) -> Mapping[tuple[str, NoticeState], int]:
        """Notices that wait, and dead ones that were made since then or whose alert is open, by channel."""
        query = (
            select(notices.c.channel, notices.c.state, func.count().label("number"))
            .join(alerts, alerts.c.id == notices.c.alert_id)
            .where(_WAITING | _dead((notices.c.created_at >= since) | _OPEN))
            .group_by(notices.c.channel, notices.c.state)
        )
        return {(row.channel, NoticeState(row.state)): row.number for row in self._connection.execute(query)}

    def notices(self, alert_id: int) -> Sequence[Notice]:
        """All of one alert, oldest first."""
        query = select(notices).where(notices.c.alert_id == alert_id).order_by(notices.c.id)
        return [_notice(row) for row in self._connection.execute(query)]

    def _change(self, id: int, state: NoticeState, values: dict[str, Any]) -> None:
        changed = update(notices).where(notices.c.id == id, notices.c.state == state).values(values)
        if self._connection.execute(changed).rowcount != 1:
            raise NotFound(f"no notice {id} is {state}")


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    at = notices.c.next_attempt_at
    return _WAITING, at.is_(None) | (at <= now), _FIRST


def _dead(and_also: ColumnElement[bool]) -> ColumnElement[bool]:
    return (notices.c.state == NoticeState.DEAD) & and_also


def _alert(row: Row[Any]) -> Alert:
    return Alert(**{**row._mapping, "severity": Severity(row.severity)})


def _notice(row: Row[Any]) -> Notice:
    return Notice(**{**row._mapping, "event": NoticeEvent(row.event), "state": NoticeState(row.state)})
