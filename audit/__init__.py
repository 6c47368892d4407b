"""The memory: what was received, found, answered and sent, and a chain that shows nothing was changed since.

The only package that imports SQLAlchemy or Alembic. `audit.records` is free of both, and is the vocabulary that the
doors share with it.
"""
