"""Searching by ranges and from both sides, over-reads, and the audit trail by time and subject.

The rows that documents are found by are made of the documents by the program, which does so at its next start: the
table `search_index` says of which definitions they were made, and is empty now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
TIME = sa.DateTime(timezone=True)
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Rebuild the index with what it held, and add the tables."""
    op.rename_table("document_index", "document_index_before")
    create_index("document_index", ("type", "id", "name", "value", "system"), KEY)
    op.create_index("ix_document_index_type_name_value_id", "document_index", ["type", "name", "value", "id"])
    move_index()
    op.create_table(
        "document_ranges",
        *(sa.Column(name, KEY, nullable=False) for name in ("type", "id", "name")),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("low", "high")),
        *(sa.Column(name, KEY, nullable=False) for name in ("code", "system")),
        sa.Column("wide", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "name", "low", "high", "code", "system", name="pk_document_ranges"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_document_ranges_type_name_low_id", "document_ranges", ["type", "name", "low", "id"])
    wide = sa.text("wide = 1")
    columns = ["type", "name", "high", "id"]
    op.create_index("ix_document_ranges_wide", "document_ranges", columns, sqlite_where=wide, postgresql_where=wide)
    op.create_table(
        "search_index",
        sa.Column("definitions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("definitions", name="pk_search_index"),
    )
    create_overreads()
    op.create_index("ix_audit_entries_recorded_at", "audit_entries", ["recorded_at"])
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject"])
    waiting = sa.text("processing = 'received'")
    op.create_index("ix_inbox_received", "inbox", ["id"], sqlite_where=waiting, postgresql_where=waiting)


def create_overreads() -> None:
    """What clinicians made of results."""
    op.create_table(
        "overreads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("practitioner", sa.Text(), nullable=False),
        sa.Column("status_before", sa.Text(), nullable=False),
        sa.Column("status_after", sa.Text(), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=True),
        sa.Column("findings", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_overreads"),
    )
    op.create_index("ix_overreads_report_id", "overreads", ["report_id"])
    op.create_index("ix_overreads_at", "overreads", ["at"])


def downgrade() -> None:
    """The index as it was: it knew dates as texts, which are left out, and no search used them."""
    op.drop_index("ix_inbox_received", "inbox")
    op.drop_index("ix_audit_entries_subject", "audit_entries")
    op.drop_index("ix_audit_entries_recorded_at", "audit_entries")
    for table in ("overreads", "search_index", "document_ranges"):
        op.drop_table(table)
    op.rename_table("document_index", "document_index_before")
    op.drop_index("ix_document_index_type_name_value_id", "document_index_before")
    create_index("document_index", ("type", "name", "value", "id", "system"), sa.Text())
    move_index()


def create_index(name: str, columns: tuple[str, ...], kind: sa.types.TypeEngine[str]) -> None:
    """A table that is nothing but its key."""
    if op.get_bind().dialect.name == "postgresql":  # names of constraints are unique in a schema
        op.execute("ALTER TABLE document_index_before RENAME CONSTRAINT pk_document_index TO pk_document_index_before")
    op.create_table(
        name,
        *(sa.Column(column, kind, nullable=False) for column in columns),
        sa.PrimaryKeyConstraint(*columns, name=f"pk_{name}"),
        sqlite_with_rowid=False,
    )


def move_index() -> None:
    """What was in the table of before."""
    columns = "type, id, name, value, system"
    op.execute(f"INSERT INTO document_index ({columns}) SELECT {columns} FROM document_index_before")
    op.drop_table("document_index_before")
