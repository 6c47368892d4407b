"""What candidates said beside the champion."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, select

from audit.insert import insert_if_absent
from audit.monitoring_records import ShadowRow
from audit.schema import shadow_predictions as table


class SqlShadows:
    """`audit.monitoring_records.Shadows` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: ShadowRow) -> None:
        """Store one, unless it is there."""
        values = {field.name: getattr(row, field.name) for field in fields(row)}
        values |= {"probabilities": dict(row.probabilities), "decided": list(row.decided)}
        insert_if_absent(self._connection, table, values)

    def between(self, begin: datetime, end: datetime) -> Sequence[ShadowRow]:
        """Those of [begin, end), oldest first."""
        query = select(table).where(table.c.at >= begin, table.c.at < end).order_by(table.c.at, table.c.analysis_id)
        return [ShadowRow(**row) for row in self._connection.execute(query).mappings()]
