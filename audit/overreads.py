"""What clinicians made of results: the ground truth of performance monitoring."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select

from audit.columns import storable
from audit.insert import insert_all
from audit.records import OverreadRow
from audit.schema import overreads


class SqlOverreads:
    """`audit.records.Overreads` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: OverreadRow) -> None:
        """Store one."""
        values: dict[str, Any] = asdict(row) | {"practitioner": storable(row.practitioner)}
        insert_all(self._connection, overreads, [values | {"findings": dict(row.findings)}])

    def of(self, report_id: str) -> Sequence[OverreadRow]:
        """Those of one report, oldest first."""
        query = select(overreads).where(overreads.c.report_id == report_id).order_by(overreads.c.at, overreads.c.id)
        return [OverreadRow(**row) for row in self._connection.execute(query).mappings()]
