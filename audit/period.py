"""The entries of a period, with their place in the chains.

The entries of a chain stand in the order of their commits, which is not quite that of their times. So a period is, of
each chain, everything from the first to the last entry with a time in it: without gaps, and here and there an entry
from just before or after.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select

from audit.chain import Head, Link
from audit.schema import audit_entries
from audit.trail import STREAM_ROWS, read_heads

_entries = audit_entries.c


class Period:
    """The entries recorded from `begin` on and before `end`. before, after: of each chain that has any, the entry
    before the first and the last one. newest: the last entry of every chain, whenever it was recorded."""

    def __init__(self, connection: Connection, begin: datetime, end: datetime) -> None:
        self._connection = connection
        within = (_entries.recorded_at >= begin, _entries.recorded_at < end)
        ends = select(_entries.chain_id, func.min(_entries.seq), func.max(_entries.seq)).where(*within)
        rows = connection.execute(ends.group_by(_entries.chain_id)).all()
        places = {chain_id: (first, last) for chain_id, first, last in sorted(tuple(row) for row in rows)}
        self.before: Mapping[str, Head] = {chain: self._head(chain, first - 1) for chain, (first, _) in places.items()}
        self.after: Mapping[str, Head] = {chain: self._head(chain, last) for chain, (_, last) in places.items()}
        self.newest: Mapping[str, Head] = read_heads(connection)

    def links(self) -> Iterator[Link]:
        """Chain by chain, each in the order of seq. Read as they are asked for."""
        for chain_id, after in self.after.items():
            first = self.before[chain_id].seq + 1
            query = select(audit_entries).where(_entries.chain_id == chain_id, _entries.seq.between(first, after.seq))
            streaming = self._connection.execution_options(yield_per=STREAM_ROWS)
            for row in streaming.execute(query.order_by(_entries.seq)):
                yield Link(**row._mapping)

    def _head(self, chain_id: str, seq: int) -> Head:
        """The hash as it is stored; of an entry that is missing, that of none: then the chain does not hold."""
        query = select(_entries.hash).where(_entries.chain_id == chain_id, _entries.seq == seq)
        found = self._connection.execute(query).scalar()
        return Head(seq, found) if found else Head(seq)
