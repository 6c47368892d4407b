"""What clinicians were shown by CDS Hooks, and what they did about it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
TIME = sa.DateTime(timezone=True)
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Three new tables."""
    op.create_table(
        "cards",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("user_key", KEY, nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("indicator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cards"),
    )
    op.create_index("ix_cards_at", "cards", ["at"])
    op.create_index("ix_cards_user_key_analysis_id", "cards", ["user_key", "analysis_id"])
    op.create_table(
        "card_findings",
        sa.Column("card_id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("suggestion_ids", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name="fk_card_findings_card_id_cards"),
        sa.PrimaryKeyConstraint("card_id", "rule", name="pk_card_findings"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "card_feedback",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("card_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("outcome_at", TIME, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_card_feedback"),
        sa.UniqueConstraint("card_id", "outcome", "outcome_at", name="uq_card_feedback_card_id_outcome_outcome_at"),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name="fk_card_feedback_card_id_cards"),
    )


def downgrade() -> None:
    """Without them."""
    for table in ("card_feedback", "card_findings", "cards"):
        op.drop_table(table)
