"""The first schema: received items, documents, analyses, outbound messages, audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create all tables."""
    create_received()
    create_documents()
    create_results()
    create_trail()


def create_received() -> None:
    """Received items."""
    op.create_table(
        "inbox",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("control_id", sa.Text(), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("processing", sa.Text(), nullable=False),
        sa.Column("acknowledgement", sa.Text(), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.UniqueConstraint(
            "door", "sender", "control_id", "content_sha256", name="uq_inbox_door_sender_control_id_content_sha256"
        ),
    )


def create_documents() -> None:
    """Documents, their index rows, and business identifiers."""
    op.create_table(
        "documents",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", TIME, nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "version", name="pk_documents"),
    )
    op.create_index("ix_documents_type_last_updated_id", "documents", ["type", "last_updated", "id"])
    op.create_table(
        "document_index",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type", "name", "value", "id", "system", name="pk_document_index"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "claims",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_claims"),
        sqlite_with_rowid=False,
    )


def create_results() -> None:
    """Analyses and outbound messages."""
    op.create_table(
        "analyses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("inbox_id", ROW_ID, nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("analyzed_at", TIME, nullable=False),
        sa.Column("recorded_at", TIME, nullable=True),
        sa.Column("age", sa.Float(), nullable=True),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("interpretable", sa.Boolean(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("probabilities", sa.JSON(), nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_analyses"),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name="fk_analyses_inbox_id_inbox"),
    )
    op.create_index("ix_analyses_inbox_id", "analyses", ["inbox_id"])
    op.create_index("ix_analyses_analyzed_at", "analyses", ["analyzed_at"])
    op.create_table(
        "outbox",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=True),
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("control_id", sa.Text(), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("control_id", name="uq_outbox_control_id"),
    )
    op.create_index(
        "ix_outbox_state_destination_patient_key_id", "outbox", ["state", "destination", "patient_key", "id"]
    )


def create_trail() -> None:
    """The audit trail and its noted heads."""
    op.create_table(
        "audit_entries",
        sa.Column("chain_id", sa.Text(), nullable=False),
        sa.Column("seq", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("payload_sha256", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("chain_id", "seq", name="pk_audit_entries"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("chain_id", sa.Text(), nullable=False),
        sa.Column("seq", ROW_ID, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", name="pk_audit_heads"),
    )


def downgrade() -> None:
    """Drop all tables, those that refer to others first."""
    for table in ("audit_heads", "audit_entries", "outbox", "analyses", "claims", "document_index", "documents", "inbox"):
        op.drop_table(table)
