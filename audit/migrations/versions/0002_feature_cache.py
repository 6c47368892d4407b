"""What was calculated of recordings before: features, measurements and probabilities."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out, not imported: a migration must stay what it was when the package's own types change.
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "feature_cache",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("checksum", sa.BigInteger(), nullable=False),
        sa.Column("measurements", sa.LargeBinary(), nullable=False),
        sa.Column("probabilities", sa.LargeBinary(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feature_cache"),
        sa.UniqueConstraint("key", name="uq_feature_cache_key"),
    )


def downgrade() -> None:
    """Drop it: everything in it can be calculated again."""
    op.drop_table("feature_cache")
