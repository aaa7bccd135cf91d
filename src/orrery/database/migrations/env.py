"""What alembic runs: our revisions, in the transaction of whoever calls."""

from __future__ import annotations

from alembic import context

from orrery.database.access_tables import all_tables
from orrery.database.tables import VERSION_TABLE


def _run() -> None:
    config = context.config
    if context.is_offline_mode():
        context.configure(
            dialect_name=config.attributes["dialect"],
            target_metadata=all_tables,
            version_table=VERSION_TABLE,
            literal_binds=True,
        )
    else:
        context.configure(
            connection=config.attributes["connection"],
            target_metadata=all_tables,
            version_table=VERSION_TABLE,
        )
    with context.begin_transaction():
        context.run_migrations()
        if context.is_offline_mode():
            for statement in config.attributes["afterwards"]:
                context.execute(statement)


_run()
