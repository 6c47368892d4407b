"""The migrations, run by Alembic. Imported where there is something to migrate: it takes a third of a second."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def newest_revision() -> str:
    """The revision that the last migration leads to."""
    head = _scripts().get_current_head()
    assert head is not None, "the migrations are part of the package"
    return head


def is_known(revision: str) -> bool:
    """Whether this version has a migration that leads there."""
    return revision in {script.revision for script in _scripts().walk_revisions()}


def migrate(connection: Connection) -> None:
    """Run the migrations that the database lacks, in the transaction of the connection."""
    command.upgrade(migration_config(connection), "head")


def migrate_back(connection: Connection, revision: str) -> None:
    """Undo the migrations that followed a revision, in the transaction of the connection."""
    command.downgrade(migration_config(connection), revision)


def migration_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file: the migrations are found in the installed package."""
    config = Config()
    config.set_main_option("script_location", "audit:migrations")
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(migration_config())
