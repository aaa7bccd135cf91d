"""What a container of the image runs: a component by its name, or any command.

A component waits until the database answers and has been migrated; then this process becomes it, so that
signals reach it and nothing stands in between. Orrery's defaults come by themselves (`orrery.boot`).
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.components import AIRFLOW_COMPONENTS, Component
from orrery.config import secrets
from orrery.errors import InputError, MachineError, OrreryError, StateError
from orrery.image import database

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: A command of its own: brings the database to this runtime's schemas and ends.
MIGRATE = "migrate"
#: How long a component waits for the database, in seconds; 0 does not wait.
WAIT_VARIABLE = "ORRERY_WAIT_SECONDS"
_WAIT_SECONDS = 120
_LOOK_SECONDS = 0.5
_PORT = "8080"
#: Those that read the database themselves: a worker does not.
_WITHOUT_DATABASE = frozenset({"worker"})


def main() -> int:
    """Become what the arguments name; return an exit code only where that failed."""
    try:
        argv, environment = prepared(
            sys.argv[1:], os.environ, say=_say, clock=time.monotonic, sleep=time.sleep
        )
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - no shell, on purpose
    except OrreryError as error:
        _say(f"Error: {error.message}")
        if error.hint:
            _say(f"Next: {error.hint}")
        return error.exit_code
    except OSError as error:
        _say(f"Error: '{sys.argv[1]}' cannot be started: {error.strerror}.")
        return MachineError.exit_code


def prepared(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    say: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> tuple[list[str], dict[str, str]]:
    """Return the program to become, with its environment, once what it needs is there.

    Raises:
        InputError: there is no such component or command.
        MachineError: the database did not answer in time.
        StateError: nobody migrated it in time, or it is another program's.
    """
    environment = dict(environ)
    name = arguments[0] if arguments else "bash"
    component = next((known for known in AIRFLOW_COMPONENTS if known.name == name), None)
    if component is None and name != MIGRATE:
        if shutil.which(name, path=environment.get("PATH")) is None:
            raise _unknown(name)
        return list(arguments) or ["bash"], environment
    if name not in _WITHOUT_DATABASE:
        _await_database(environment, needs_schema=name != MIGRATE, say=say, clock=clock, sleep=sleep)
    return command(component, arguments[1:], environment), environment


def command(component: Component | None, more: Sequence[str], environment: dict[str, str]) -> list[str]:
    """Return the command line of a component, None being the migration; fits `environment` to it."""
    if component is None:
        return [sys.executable, "-m", "airflow", "db", "migrate", *more]
    if component.module:
        wanted = secrets.for_tasks(environment)
        environment.clear()
        environment.update(wanted)
        return [sys.executable, "-m", component.module, *more]
    # Every interface: a container's port is closed until somebody publishes it.
    words = [
        word.format(host="0.0.0.0", port=environment.get("AIRFLOW__API__PORT", _PORT))  # noqa: S104
        for word in component.airflow_arguments or ()
    ]
    return [sys.executable, "-m", "airflow", *words, *more]


def _await_database(
    environment: Mapping[str, str],
    *,
    needs_schema: bool,
    say: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    limit = _limit(environment)
    address = database.url(environment)
    if address is None or not limit:
        return
    site_packages = Path(sysconfig.get_path("purelib"))
    deadline = clock() + limit
    told = ""
    while True:
        try:
            connection = database.Database(address)
        except MachineError as error:
            problem: OrreryError = MachineError(
                f"The database did not answer within {limit:g} s: {error.message}",
                hint="Check AIRFLOW__DATABASE__SQL_ALCHEMY_CONN and that the server runs; "
                f"{WAIT_VARIABLE} sets how long to wait.",
            )
            why = "Waiting for the database"
        else:
            try:
                stale = database.lacking(connection, site_packages) if needs_schema else []
            finally:
                connection.close()
            if not stale:
                return
            problem = StateError(
                f"The database was not migrated within {limit:g} s: {'; '.join(stale)}.",
                hint=f"Run a container of this image with the command '{MIGRATE}' once.",
            )
            why = "Waiting for the database's migration"
        if why != told:
            say(why)
            told = why
        if clock() >= deadline:
            raise problem
        sleep(_LOOK_SECONDS)


def _limit(environment: Mapping[str, str]) -> float:
    text = environment.get(WAIT_VARIABLE) or str(_WAIT_SECONDS)
    if not text.isdecimal():
        raise InputError(
            f"{WAIT_VARIABLE} is '{text}', which is no whole number of seconds.", hint="Set it to 120."
        )
    return float(text)


def _unknown(name: str) -> InputError:
    known = ", ".join([*(component.name for component in AIRFLOW_COMPONENTS), MIGRATE])
    return InputError(
        f"'{name}' is neither a component nor a command in this image.",
        hint=f"Components: {known}. Commands run as they are: airflow version, orrery release list, bash.",
    )


def _say(text: str) -> None:
    sys.stderr.write(f"orrery: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
