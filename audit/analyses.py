"""The results of analyses."""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, func, select

from audit.columns import as_key
from audit.insert import insert_if_absent
from audit.records import AnalysisRow
from audit.schema import analyses
from inference.errors import Duplicate, NotFound


class SqlAnalyses:
    """`audit.records.Analyses` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: AnalysisRow) -> None:
        """Store one, after its received item. Raises Duplicate for an id stored before."""
        values = {column.name: getattr(row, column.name) for column in fields(row)}
        values["sender"] = None if row.sender is None else as_key(row.sender)
        values["probabilities"] = None if row.probabilities is None else dict(row.probabilities)
        if insert_if_absent(self._connection, analyses, values) is None:
            raise Duplicate(f"analysis {row.id} exists")

    def get(self, id: str) -> AnalysisRow:
        """One result. Raises NotFound."""
        row = self._connection.execute(select(analyses).where(analyses.c.id == as_key(id))).mappings().first()
        if row is None:
            raise NotFound("no such analysis")
        return AnalysisRow(**row)

    def count(self, mode: str, since: datetime) -> int:
        """How many were made in a mode since then."""
        made = select(func.count()).where(analyses.c.mode == mode, analyses.c.analyzed_at >= since)
        return self._connection.execute(made).scalar_one()
