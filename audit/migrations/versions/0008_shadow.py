"""What a model in shadow mode said of each ECG."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """A table."""
    op.create_table(
        "shadow_results",
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("analysis_id", "model_name", "model_version", "model_sha256", "urgency")
        ),
        sa.Column("milliseconds", sa.Float(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("decided", "probabilities")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name="fk_shadow_results_analysis_id_analyses"),
        sa.PrimaryKeyConstraint("analysis_id", name="pk_shadow_results"),
    )


def downgrade() -> None:
    """Without it."""
    op.drop_table("shadow_results")
