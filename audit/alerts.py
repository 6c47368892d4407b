"""What somebody has to look at, and who was told.

Of one key only one alert is open: a unique index says so, also where several processes look at the same thing.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from audit.columns import storable
from audit.insert import insert_if_absent
from audit.monitoring_records import Alert, Notice, NoticeEvent, NoticeState, Severity
from audit.schema import alert_notices as notices
from audit.schema import alerts
from inference.errors import NotFound

_OPEN = alerts.c.resolved_at.is_(None)


class SqlAlerts:
    """`audit.monitoring_records.Alerts` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def see(self, alert: Alert) -> tuple[Alert, bool]:
        """Open it, or note on the open one of its key that it was seen again (with its severity, title and text as they
        are now). Gives the stored alert, and whether it is new."""
        told = {"severity": alert.severity, "title": storable(alert.title), "text": storable(alert.text)}
        values = told | {"key": alert.key, "opened_at": alert.opened_at, "seen_at": alert.seen_at, "resolved_at": None}
        added = insert_if_absent(self._connection, alerts, values)
        if added is not None:
            return replace(alert, id=int(added[0]), resolved_at=None), True
        seen = update(alerts).where(alerts.c.key == alert.key, _OPEN).values(told | {"seen_at": alert.seen_at})
        return _alert(self._connection.execute(seen.returning(alerts)).one()), False

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

    def due(self, now: datetime, limit: int) -> Sequence[tuple[Notice, Alert]]:
        """Notices whose time has come, oldest first."""
        waiting = (
            notices.c.state == NoticeState.WAITING,
            notices.c.next_attempt_at.is_(None) | (notices.c.next_attempt_at <= now),
        )
        query = select(notices).where(*waiting).order_by(notices.c.id).limit(limit)
        found = [_notice(row) for row in self._connection.execute(query)]
        wanted = select(alerts).where(alerts.c.id.in_({notice.alert_id for notice in found}))
        about = {row.id: _alert(row) for row in self._connection.execute(wanted)}
        return [(notice, about[notice.alert_id]) for notice in found]

    def told(self, id: int, at: datetime) -> None:
        """A notice was sent. Raises NotFound."""
        self._attempted(id, {"state": NoticeState.SENT, "sent_at": at, "error": None, "next_attempt_at": None})

    def failed(self, id: int, error: str, next_attempt_at: datetime | None) -> None:
        """It was not: try again at that time, or None: it is dead. Raises NotFound."""
        state = NoticeState.DEAD if next_attempt_at is None else NoticeState.WAITING
        self._attempted(id, {"state": state, "error": storable(error), "next_attempt_at": next_attempt_at})

    def notices(self, alert_id: int) -> Sequence[Notice]:
        """All of one alert, oldest first."""
        query = select(notices).where(notices.c.alert_id == alert_id).order_by(notices.c.id)
        return [_notice(row) for row in self._connection.execute(query)]

    def _attempted(self, id: int, values: dict[str, Any]) -> None:
        waiting = (notices.c.id == id, notices.c.state == NoticeState.WAITING)
        changed = update(notices).where(*waiting).values(values | {"attempts": notices.c.attempts + 1})
        if self._connection.execute(changed).rowcount != 1:
            raise NotFound(f"no notice {id} waits")


def _alert(row: Row[Any]) -> Alert:
    return Alert(**{**row._mapping, "severity": Severity(row.severity)})


def _notice(row: Row[Any]) -> Notice:
    return Notice(**{**row._mapping, "event": NoticeEvent(row.event), "state": NoticeState(row.state)})
