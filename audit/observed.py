"""What monitoring looks at: analyses of a time, and what clinicians and models in shadow mode made of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from audit.records import AnalysisRow, OverreadRow
from audit.schema import analyses, inbox, overreads, shadow_results
from audit.shadow_records import ShadowRow

# Rows that are read ahead.
CHUNK = 500

# Under names of their own: columns of the tables have the same.
_OVERREAD = [column.label(f"overread_{column.name}") for column in overreads.c]
_SHADOW = [column.label(f"shadow_{column.name}") for column in shadow_results.c]


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
        query = (
            select(analyses, *_OVERREAD)
            .join(overreads, overreads.c.report_id == analyses.c.id)
            .where(overreads.c.at >= begin, overreads.c.at < end, _is_newest())
            .order_by(overreads.c.at, overreads.c.id)
        )
        return [(_analysis(row), _overread(row)) for row in self._connection.execute(query)]

    def shadowed(self, begin: datetime, end: datetime) -> Iterator[tuple[AnalysisRow, ShadowRow, OverreadRow | None]]:
        """Analyses made in [begin, end) with what a model in shadow mode said of them, and their newest over-read,
        oldest first, one at a time."""
        query = (
            select(analyses, *_SHADOW, *_OVERREAD)
            .join(shadow_results, shadow_results.c.analysis_id == analyses.c.id)
            .outerjoin(overreads, and_(overreads.c.report_id == analyses.c.id, _is_newest()))
            .where(analyses.c.analyzed_at >= begin, analyses.c.analyzed_at < end)
            .order_by(analyses.c.analyzed_at, analyses.c.id)
        )
        for row in self._connection.execution_options(yield_per=CHUNK).execute(query):
            yield _analysis(row), _shadow(row), _overread(row) if row.overread_id is not None else None

    def classified(self, begin: datetime, end: datetime) -> int:
        """How many analyses with a prediction were made in [begin, end), live and silent."""
        made = (analyses.c.analyzed_at >= begin, analyses.c.analyzed_at < end, analyses.c.model_name.is_not(None))
        return self._connection.execute(select(func.count()).where(*made)).scalar_one()

    def received(self, begin: datetime, end: datetime) -> Mapping[tuple[str, str], int]:
        """Items received in [begin, end), by door and processing state."""
        by = (inbox.c.door, inbox.c.processing)
        came = (inbox.c.received_at >= begin, inbox.c.received_at < end)
        rows = self._connection.execute(select(*by, func.count()).where(*came).group_by(*by))
        return {(door, state): number for door, state, number in rows}


def _is_newest() -> ColumnElement[bool]:
    """Of the over-reads of a report."""
    later = overreads.alias()
    return ~(
        select(later.c.id)
        .where(
            later.c.report_id == overreads.c.report_id,
            (later.c.at > overreads.c.at) | ((later.c.at == overreads.c.at) & (later.c.id > overreads.c.id)),
        )
        .exists()
    )


def _analysis(row: Row[Any]) -> AnalysisRow:
    return AnalysisRow(**{column.name: row._mapping[column.name] for column in analyses.c})


def _overread(row: Row[Any]) -> OverreadRow:
    return OverreadRow(**{column.name: row._mapping[f"overread_{column.name}"] for column in overreads.c})


def _shadow(row: Row[Any]) -> ShadowRow:
    return ShadowRow(**{column.name: row._mapping[f"shadow_{column.name}"] for column in shadow_results.c})
