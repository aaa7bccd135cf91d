"""Alembic's environment of Orrery's tables."""
