"""What `airflow db migrate` runs for Orrery's tables, after Airflow's own."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from airflow import settings
from airflow.utils.db_manager import BaseDBManager
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from orrery.database import access_triggers, triggers
from orrery.database.access_tables import all_tables
from orrery.database.tables import VERSION_TABLE
from orrery.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

#: Of PostgreSQL's advisory lock: "orrery" in hexadecimal. Airflow's own locks are 1 and 2.
_LOCK = 0x6F7272657279
#: Whoever writes into Airflow's tables waits behind us: rather fail, and be run again.
_LOCK_TIMEOUT = "30s"


class OrreryDBManager(BaseDBManager):  # type: ignore[misc]
    """Creates, changes and drops Orrery's tables and triggers.

    A migration is one transaction: it happens wholly or not at all, and a second one at the same time waits
    for the first and then finds nothing to do.
    """

    metadata = all_tables
    migration_dir = str(Path(__file__).parent / "migrations")
    alembic_file = ""  # all that it would hold is said here
    version_table_name = VERSION_TABLE
    supports_table_dropping = True
    #: The newest revision of each release that brought one: `airflow db-manager downgrade --to-version`.
    revision_heads_map = {"17.0.0": "a17f0c5d0003"}  # noqa: RUF012 - the base class declares it so

    def get_alembic_config(self) -> Config:
        """Return alembic's configuration; the connection is given to it by whoever runs it."""
        config = Config()
        config.set_main_option("script_location", self.migration_dir.replace("%", "%%"))
        return config

    def initdb(self, use_migration_files: bool = False) -> None:  # noqa: ARG002
        """Create the tables by their migrations: nobody but they knows of the triggers."""
        self.upgradedb()

    def create_db_from_orm(self) -> None:
        """Create the tables, likewise by their migrations."""
        self.upgradedb()

    def upgradedb(
        self,
        to_revision: str | None = None,
        from_revision: str | None = None,
        show_sql_only: bool = False,
        use_migration_files: bool = False,  # noqa: ARG002 - Airflow's signature
    ) -> None:
        """Bring tables and triggers to the newest revision, or the tables to that one.

        Raises:
            StateError: a newer release made the tables, or Airflow's own are not there.
        """
        config = self.get_alembic_config()
        target = to_revision or "heads"
        if show_sql_only:
            self._show(config, from_revision, target)
            return
        self.log.info("Upgrading Orrery's tables")
        with self._migration(config) as connection:
            command.upgrade(config, target)
            triggers.ensure(connection)

    def downgrade(
        self,
        to_revision: str,
        from_revision: str | None = None,
        show_sql_only: bool = False,
    ) -> None:
        """Take the tables back to a revision; `base` removes tables and triggers."""
        config = self.get_alembic_config()
        if show_sql_only:
            config.attributes.update(dialect=settings.get_engine().dialect.name, afterwards=())
            command.downgrade(config, f"{from_revision or 'heads'}:{to_revision}", sql=True)
            return
        self.log.info("Downgrading Orrery's tables to %s", to_revision)
        with self._migration(config) as connection:
            command.downgrade(config, to_revision)
            if to_revision == "base":
                triggers.drop(connection)

    def check_migration(self) -> bool:
        """Tell whether tables and triggers are what this release wants."""
        return bool(super().check_migration()) and not triggers.missing(self.session.connection())

    def drop_tables(self, connection: Connection) -> None:
        """Drop all that is ours."""
        triggers.drop(connection)
        if connection.dialect.name == "postgresql":
            for statement in access_triggers.removals():
                connection.exec_driver_sql(statement)
        super().drop_tables(connection)

    @contextmanager
    def _migration(self, config: Config) -> Iterator[Connection]:
        """Give alembic a connection in a transaction that no other migration of ours can have meanwhile."""
        with settings.get_engine().connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            self._require_known(config, connection)
            config.attributes["connection"] = connection
            yield connection

    def _require_known(self, config: Config, connection: Connection) -> None:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars()  # noqa: S608
        if unknown := set(found) - known:
            raise StateError(
                f"Orrery's tables were made by a newer release: this one knows no revision {unknown.pop()}.",
                hint="Use the release that made them, or downgrade the tables with it first.",
            )

    def _show(self, config: Config, from_revision: str | None, target: str) -> None:
        dialect = settings.get_engine().dialect.name
        afterwards = list(triggers.statements()) if dialect == "postgresql" else []
        config.attributes.update(dialect=dialect, afterwards=afterwards)
        command.upgrade(config, f"{from_revision or 'base'}:{target}", sql=True)
