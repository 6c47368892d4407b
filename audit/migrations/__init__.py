"""Alembic migrations, run by `audit.upgrade`."""
