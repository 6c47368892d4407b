"""What models in shadow mode said, beside the analyses that count."""

from dataclasses import asdict

from sqlalchemy import Connection, select

from audit.columns import as_key, storable
from audit.insert import insert_if_absent
from audit.schema import analyses, shadow_results
from audit.shadow_records import ShadowRow


class SqlShadows:
    """`audit.shadow_records.Shadows` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: ShadowRow) -> bool:
        """Store one. False where its analysis is not stored, or has one already."""
        known = select(analyses.c.id).where(analyses.c.id == row.analysis_id)
        if self._connection.execute(known).first() is None:
            return False
        names = {name: storable(getattr(row, name)) for name in ("model_name", "model_version")}
        values = asdict(row) | names | {"decided": list(row.decided)}
        return insert_if_absent(self._connection, shadow_results, values) is not None

    def of(self, analysis_id: str) -> ShadowRow | None:
        """What was said of one analysis."""
        query = select(shadow_results).where(shadow_results.c.analysis_id == as_key(analysis_id))
        row = self._connection.execute(query).mappings().first()
        return None if row is None else ShadowRow(**row)
