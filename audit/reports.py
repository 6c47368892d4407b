"""What monitoring has found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from audit.insert import insert_if_absent
from audit.monitoring_records import MonitoringReport, ReportKind, ReportState
from audit.schema import monitoring_reports as table

_WITHOUT_PAGE = tuple(column for column in table.c if column.name != "page")


class SqlReports:
    """`audit.monitoring_records.Reports` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, report: MonitoringReport) -> int:
        """Store one; earlier ones of its kind lose their page."""
        earlier = update(table).where(table.c.kind == report.kind, table.c.page.is_not(None))
        self._connection.execute(earlier.values(page=None))
        values = {
            "kind": report.kind,
            "computed_at": report.computed_at,
            "window_begin": report.begin,
            "window_end": report.end,
            "flag": report.flag,
            "content": report.content,
            "page": report.page,
        }
        added = insert_if_absent(self._connection, table, values)
        assert added is not None, "a generated number is new"
        return int(added[0])

    def newest(self, kind: ReportKind) -> MonitoringReport | None:
        """With its page."""
        row = self._connection.execute(_of(kind, select(table)).order_by(table.c.id.desc()).limit(1)).first()
        return None if row is None else _report(row, row.page)

    def states(self) -> Sequence[ReportState]:
        """Of every kind that has a report: a look into the index for each."""
        newest = (
            _of(kind, select(table.c.computed_at, table.c.flag)).order_by(table.c.id.desc()).limit(1)
            for kind in ReportKind
        )
        found = zip(ReportKind, (self._connection.execute(query).first() for query in newest), strict=True)
        return [ReportState(kind=kind, computed_at=row.computed_at, flag=row.flag) for kind, row in found if row]

    def spread(self, kind: ReportKind, begin: datetime, end: datetime, most: int) -> Sequence[MonitoringReport]:
        """Of each of so many equal parts of [begin, end] the last that is flagged, or else the last; oldest first,
        without pages."""
        states = _of(kind, select(table.c.id, table.c.computed_at, table.c.flag))
        part, chosen = (end - begin) / most, dict[int, Row[Any]]()
        for row in self._connection.execute(states.where(table.c.computed_at.between(begin, end)).order_by(table.c.id)):
            place = min(int((row.computed_at - begin) / part), most - 1)
            if row.flag or not (place in chosen and chosen[place].flag):
                chosen[place] = row
        ids = [row.id for row in chosen.values()]
        query = select(*_WITHOUT_PAGE).where(table.c.id.in_(ids)).order_by(table.c.computed_at, table.c.id)
        return [_report(row, None) for row in self._connection.execute(query)]


def _of(kind: ReportKind, query: Select[Any]) -> Select[Any]:
    return query.where(table.c.kind == kind)


def _report(row: Row[Any], page: bytes | None) -> MonitoringReport:
    return MonitoringReport(
        kind=ReportKind(row.kind),
        computed_at=row.computed_at,
        begin=row.window_begin,
        end=row.window_end,
        flag=row.flag,
        content=row.content,
        page=page,
        id=row.id,
    )
