"""What Alembic runs for each command: the migrations, in the transaction that the caller has begun.

SQLite cannot alter a table: a migration that must works through `op.batch_alter_table`, which rebuilds it.
"""

from alembic import context

from audit.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
