"""Documents may be frames of `audit.series`. The tables stay as they are: the revision keeps a program that cannot read
such frames from a database that holds them, and on the way down they become text again."""

import sqlalchemy as sa
from alembic import op

from audit.packed import compressed, decompressed
from audit.series import MAGIC

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

documents = sa.table(
    "documents",
    sa.column("type", sa.Text()),
    sa.column("id", sa.Text()),
    sa.column("version", sa.Integer()),
    sa.column("content", sa.LargeBinary()),
)


def upgrade() -> None:
    """Nothing: what is stored already stays readable."""


def downgrade() -> None:
    """Write each such document anew, one at a time: there may be many, and each is an ECG."""
    connection = op.get_bind()
    key = (documents.c.type, documents.c.id, documents.c.version)
    are_numbers = sa.func.substr(documents.c.content, 1, len(MAGIC)) == sa.literal(MAGIC, sa.LargeBinary())
    for place in connection.execute(sa.select(*key).where(are_numbers)).all():
        this = sa.and_(*(column == value for column, value in zip(key, place, strict=True)))
        frame = connection.execute(sa.select(documents.c.content).where(this)).scalar_one()
        text = compressed(decompressed(bytes(frame)))
        connection.execute(sa.update(documents).where(this).values(content=text))
