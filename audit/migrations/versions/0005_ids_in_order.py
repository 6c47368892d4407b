"""Ids of documents in the order of code points on PostgreSQL, as those in the indexes: with the order of the database's
language, pages by id could come in another order than pages by what is indexed. SQLite has no other order.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = ("type", "id")


def upgrade() -> None:
    """Only the indexes of the table are made anew, not the table (PostgreSQL, ALTER TABLE)."""
    _collate("C")


def downgrade() -> None:
    """The order of the database."""
    _collate("default")


def _collate(name: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        changes = ", ".join(f'ALTER COLUMN {column} TYPE text COLLATE "{name}"' for column in COLUMNS)
        op.execute(sa.text(f"ALTER TABLE documents {changes}"))
