"""What monitoring looks at: analyses of a time, and what clinicians made of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from audit.records import AnalysisRow, OverreadRow
from audit.schema import analyses, inbox, overreads

# Rows that are read ahead.
CHUNK = 500


class SqlObserved:
    """`audit.monitoring_records.Observed` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def analyses(self, begin: datetime, end: datetime) -> Iterator[AnalysisRow]:
        """Those made in [begin, end), oldest first, one at a time: a window may be larger than the memory."""
        made = (analyses.c.analyzed_at >= begin, analyses.c.analyzed_at < end)
        query = select(analyses).where(*made).order_by(analyses.c.analyzed_at, analyses.c.id)
        streamed = self._connection.execution_options(yield_per=CHUNK).execute(query)
        for row in streamed.mappings():
            yield AnalysisRow(**row)

    def newest(self, number: int, before: datetime) -> Sequence[AnalysisRow]:
        """The newest so many made before a time, oldest first."""
        place = (analyses.c.analyzed_at, analyses.c.id)
        query = select(analyses).where(analyses.c.analyzed_at < before)
        ordered = query.order_by(*(column.desc() for column in place)).limit(number)
        return [AnalysisRow(**row) for row in self._connection.execute(ordered).mappings()][::-1]

    def overread(self, begin: datetime, end: datetime) -> Sequence[tuple[AnalysisRow, OverreadRow]]:
        """Analyses whose newest over-read was made in [begin, end), with it, oldest first."""
        later = overreads.alias()
        is_newest = ~(
            select(later.c.id)
            .where(
                later.c.report_id == overreads.c.report_id,
                (later.c.at > overreads.c.at) | ((later.c.at == overreads.c.at) & (later.c.id > overreads.c.id)),
            )
            .exists()
        )
        columns = [column.label(f"overread_{column.name}") for column in overreads.c]
        query = (
            select(analyses, *columns)
            .join(overreads, overreads.c.report_id == analyses.c.id)
            .where(overreads.c.at >= begin, overreads.c.at < end, is_newest)
            .order_by(overreads.c.at, overreads.c.id)
        )
        return [_pair(row) for row in self._connection.execute(query)]

    def received(self, begin: datetime, end: datetime) -> Mapping[tuple[str, str], int]:
        """Items received in [begin, end), by door and processing state."""
        by = (inbox.c.door, inbox.c.processing)
        came = (inbox.c.received_at >= begin, inbox.c.received_at < end)
        rows = self._connection.execute(select(*by, func.count()).where(*came).group_by(*by))
        return {(door, state): number for door, state, number in rows}


def _pair(row: Row[Any]) -> tuple[AnalysisRow, OverreadRow]:
    values = row._mapping
    analysis = AnalysisRow(**{column.name: values[column.name] for column in analyses.c})
    overread = OverreadRow(**{column.name: values[f"overread_{column.name}"] for column in overreads.c})
    return analysis, overread
