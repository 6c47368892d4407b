"""The next version of the program, made of this one: a later schema, and something more to search by."""

import json
import shutil
from pathlib import Path

from audit.schema import REVISION
from interop.resources.search_parameters import INDEX_DEFINITIONS
from tests.conftest import ROOT

PACKAGES = ("actions", "audit", "inference", "interop", "training")
# It searches reports by the text of their conclusion.
PARAMETER = "comment"

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analyses", sa.Column("ward", sa.Text(), nullable=True))
    op.create_table("wards", sa.Column("name", sa.Text(), primary_key=True))


def downgrade() -> None:
    op.drop_table("wards")
    with op.batch_alter_table("analyses") as batch:
        batch.drop_column("ward")
"""


def next_version(folder: Path, works_with: str = REVISION) -> Path:
    """A folder with its code, to be run from there. works_with: the oldest schema whose programs may go on."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models").symlink_to(ROOT / "models")
    revision = f"{int(REVISION) + 1:04}"
    migration = MIGRATION.format(revision=revision, before=REVISION)
    (folder / "audit" / "migrations" / "versions" / f"{revision}_next.py").write_text(migration)
    _edit(
        folder / "audit" / "schema.py",
        (f'REVISION = "{REVISION}"', f'REVISION = "{revision}"'),
        ('WORKS_WITH = "', f'WORKS_WITH = "{works_with}"  # "'),
        ('    Column("features", Bytes),\n)', '    Column("features", Bytes),\n    Column("ward", Text),\n)'),
        (
            "claims = Table(",
            'wards = Table("wards", metadata, Column("name", Text, primary_key=True))\nclaims = Table(',
        ),
    )
    parameters = folder / "interop" / "resources" / "search_parameters.json"
    found = json.loads(parameters.read_text())
    url = "http://example.org/SearchParameter/comment"
    found["DiagnosticReport"][PARAMETER] = {"kind": "string", "paths": ["conclusion"], "url": url}
    parameters.write_text(json.dumps(found))
    made = INDEX_DEFINITIONS.revision
    _edit(
        folder / "interop" / "resources" / "search_parameters.py",
        (f"INDEX_REVISION = {made}", f"INDEX_REVISION = {made + 1}"),
    )
    # A test does not wait for a minute.
    _edit(folder / "interop" / "periodic.py", ("INDEX_SECONDS = 60.0", "INDEX_SECONDS = 0.5"))
    return folder


def _edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for before, after in changes:
        assert text.count(before) == 1, f"{file}: {before}"
        text = text.replace(before, after)
    file.write_text(text)
