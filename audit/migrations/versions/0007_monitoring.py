"""Monitoring: what the model saw of each ECG, what was found, and who was told."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
TIME = sa.DateTime(timezone=True)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNRESOLVED = sa.text("resolved_at IS NULL")


def upgrade() -> None:
    """A column, and three tables."""
    op.add_column("analyses", sa.Column("features", sa.LargeBinary(), nullable=True))
    op.create_table(
        "monitoring_reports",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        *(sa.Column(name, TIME, nullable=False) for name in ("computed_at", "window_begin", "window_end")),
        sa.Column("flag", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("page", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_reports"),
    )
    op.create_index("ix_monitoring_reports_kind_id", "monitoring_reports", ["kind", "id"])
    create_alerts()


def create_alerts() -> None:
    """What somebody has to look at, and who was told."""
    op.create_table(
        "alerts",
        sa.Column("id", ROW_ID, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("key", "severity", "title", "text")),
        *(sa.Column(name, TIME, nullable=False) for name in ("opened_at", "seen_at")),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index(
        "ix_alerts_open", "alerts", ["key"], unique=True, sqlite_where=UNRESOLVED, postgresql_where=UNRESOLVED
    )
    op.create_table(
        "alert_notices",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("alert_id", ROW_ID, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("event", "channel", "state")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name="fk_alert_notices_alert_id_alerts"),
        sa.PrimaryKeyConstraint("id", name="pk_alert_notices"),
    )
    op.create_index("ix_alert_notices_alert_id", "alert_notices", ["alert_id"])
    op.create_index("ix_alert_notices_state", "alert_notices", ["state", "id"])


def downgrade() -> None:
    """Without them. On SQLite the table is made anew without the column."""
    for table in ("alert_notices", "alerts", "monitoring_reports"):
        op.drop_table(table)
    with op.batch_alter_table("analyses") as batch:
        batch.drop_column("features")
