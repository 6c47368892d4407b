"""Which other versions of the program may work on this database, and what they write meanwhile.

The rows that documents are found by are made anew by the program, as after migration 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """A table, one made anew, and a column."""
    op.create_table(
        "compatibility",
        sa.Column("oldest_schema", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("oldest_schema", name="pk_compatibility"),
    )
    op.drop_table("search_index")
    op.create_table(
        "search_index",
        sa.Column("definitions", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("complete_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("definitions", name="pk_search_index"),
    )
    with op.batch_alter_table("audit_heads", recreate="auto") as batch:
        batch.add_column(sa.Column("index_revision", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Without them."""
    with op.batch_alter_table("audit_heads", recreate="auto") as batch:
        batch.drop_column("index_revision")
    op.drop_table("search_index")
    op.create_table(
        "search_index",
        sa.Column("definitions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("definitions", name="pk_search_index"),
    )
    op.drop_table("compatibility")
