"""What was calculated of recordings before.

Nothing refers to these rows and nothing is lost with them: they only save a calculation. So they are no part of the
audit trail, and the oldest are deleted.
"""

from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from audit.driver import placeholder, run
from audit.insert import insert_absent
from audit.records import FeatureRow
from audit.schema import feature_cache

_COLUMNS = ", ".join(field.name for field in fields(FeatureRow))
_FIND = f"SELECT {_COLUMNS} FROM feature_cache WHERE key = {{0}}"


class SqlFeatures:
    """`audit.records.Features` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: FeatureRow, at: datetime) -> None:
        """Store one, unless its key is there already: then it holds the same."""
        insert_absent(self._connection, feature_cache, [asdict(row) | {"created_at": at}])

    def find(self, key: bytes) -> FeatureRow | None:
        """The row of a key. One statement, which needs no transaction."""
        row = run(self._connection, _FIND.format(placeholder(self._connection.dialect)), (key,)).fetchone()
        if row is None:
            return None
        found, checksum, *contents = row
        # PostgreSQL's driver gives views of its memory.
        return FeatureRow(bytes(found), checksum, *map(bytes, contents))

    def prune(self, newest: int, at_most: int) -> int:
        """Delete rows that are not among the newest, the oldest first; gives how many."""
        last = select(func.max(feature_cache.c.id)).scalar_subquery()
        old = select(feature_cache.c.id).where(feature_cache.c.id <= last - newest)
        chosen = old.order_by(feature_cache.c.id).limit(at_most)
        return self._connection.execute(delete(feature_cache).where(feature_cache.c.id.in_(chosen))).rowcount
