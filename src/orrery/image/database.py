"""The database as a container sees it: which one it is, whether it answers, whether it is migrated.

In the image only: it needs PostgreSQL's driver, never Airflow, whose import costs seconds.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orrery.config import airflow_file, applied
from orrery.config.user import UserSettings
from orrery.errors import InputError, MachineError
from orrery.local import migrations, process

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_SECONDS = 3
_COMMAND_SECONDS = 30


def url(environment: Mapping[str, str]) -> str | None:
    """Return the URL of a PostgreSQL database that the settings name, as its driver reads it.

    None where they name none, another kind of database, or a secrets backend that only Airflow can ask.

    Raises:
        InputError: the command that should print it failed.
    """
    user = UserSettings(
        environment=applied.users_environment(environment),
        file=airflow_file.read(airflow_file.path_of(environment)),
    )
    given = user.given("database", "sql_alchemy_conn")
    text = given.value if given else None
    if given and text is None:
        text = _printed(user, environment)
    text = airflow_file.expand((text or "").strip(), environment)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        return None
    return f"postgresql://{rest}"


def _printed(user: UserSettings, environment: Mapping[str, str]) -> str | None:
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD"
    command = user.environment.get(name)
    if command is None and user.file.has("database", "sql_alchemy_conn_cmd"):
        command = user.file.value("database", "sql_alchemy_conn_cmd")
    if not command:
        return None
    ended = process.run(shlex.split(command), env=environment, timeout=_COMMAND_SECONDS)
    if ended.returncode:
        raise InputError(
            f"The command in {name} failed: {ended.stderr.strip() or f'exit code {ended.returncode}'}",
            hint="It must print the database's URL; a file with it must be readable for this user "
            f"(uid {os.getuid()}).",
        )
    return ended.stdout


class Database:
    """One connection to it."""

    def __init__(self, address: str) -> None:
        """Connect. Raises MachineError with the server's own words, or the driver's."""
        import psycopg2  # noqa: PLC0415 - in the image only

        try:
            self._connection: Any = psycopg2.connect(address, connect_timeout=_CONNECT_SECONDS)
        except psycopg2.Error as error:
            raise MachineError(" ".join(str(error).split()) or "it does not answer") from None
        self._connection.autocommit = True

    def ask(self, sql: str, parameters: tuple[object, ...] = ()) -> list[list[str]]:
        """Return rows of text, truth values as `t` and `f`."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return [[_text(cell) for cell in row] for row in cursor.fetchall()]

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _text(cell: object) -> str:
    return {True: "t", False: "f"}.get(cell, str(cell)) if isinstance(cell, bool) else str(cell)


def lacking(database: Database, site_packages: Path) -> list[str]:
    """Say what of the schemas is not at its newest revision.

    Raises:
        StateError: a newer runtime made them, or another program.
    """
    import orrery  # noqa: PLC0415 - its place, not its name

    return migrations.stale(
        database.ask, site_packages=site_packages, package=Path(str(orrery.__file__)).parent
    )
