"""What the process manager has imported, and whether a fork of it may be a component.

All is imported in the environment of the worker, which holds none of the platform's secrets: so anything may
be forked from it, also what runs users' code. What only Airflow's own components may know, such a component
learns after it was forked. Airflow keeps of it what `take_on` makes anew, and nothing else: a contract test
looks who asks for it during the import.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery import boot, immortals, large_pages
from orrery.config import secrets
from orrery.local import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

#: What the components import in any case. Names of Airflow's: a contract test imports them.
MODULES = (
    "airflow.cli.cli_parser",
    "airflow.jobs.scheduler_job_runner",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.api_server_command",
    "airflow.api_fastapi.execution_api.versions",
    "orrery.executor.executor",
    # Each component looks whether the database is migrated.
    "alembic.command",
    "airflow.utils.db",
    # It is PostgreSQL, which the worker's environment does not say.
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "asyncpg",
    "psycopg2",
)
#: What each component would do first, and copy the memory for: without arguments, a database or a thread.
WARM_UPS = (
    ("airflow.models", "import_all_models"),
    ("sqlalchemy.orm", "configure_mappers"),
    ("airflow.cli.cli_parser", "get_parser"),
    ("orrery.worker.compat", "import_modules"),
)
#: What `python -m` runs in a fork.
_FORKED = ("airflow", "orrery.worker")
#: A project's own code, which may look at anything while it is imported.
_USERS_SETTINGS = "airflow_local_settings"
#: Less than a component has to live to count as started.
_DATABASE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What a launch file says, and the words after it."""

    interpreter: str
    module: str
    environment: Mapping[str, str]
    words: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: str | Path, words: Sequence[str] = ()) -> Launch | None:
        """Return what the file says; None: it cannot be read, or runs something else than a module."""
        try:
            found = json.loads(Path(file).read_text())
            interpreter, option, module = found["command"]
            environment = dict(found["environment"])
        except (OSError, ValueError, LookupError, TypeError):
            return None
        if option != "-m":
            return None
        return cls(interpreter=interpreter, module=module, environment=environment, words=tuple(words))

    @classmethod
    def of(cls, argv: Sequence[str]) -> Launch | None:
        """Return what a command would become that begins with `launch.py`; None of any other."""
        try:
            here = argv.index(str(Path(launch.__file__)))
            return cls.read(argv[here + 1], argv[here + 2 :])
        except (ValueError, IndexError):
            return None


class Imported:
    """What was imported, and from what: `launch` is the worker's."""

    def __init__(self, launch: Launch | None) -> None:
        self._launch = launch
        self._files: dict[str, tuple[int, int] | None] = {}

    def load(self) -> str | None:
        """Import all; return why components have to start cold, None when they need not."""
        try:
            for name in MODULES:
                importlib.import_module(name)
            for name, function in WARM_UPS:
                getattr(importlib.import_module(name), function)()
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
        if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - a number is wanted
            return "something that Airflow imports has started a thread"
        if _USERS_SETTINGS in sys.modules:
            return f"the project has an {_USERS_SETTINGS}, which each component has to execute by itself"
        self.take_note()
        immortals.settle()
        large_pages.collapse()
        return None

    def take_note(self) -> None:
        """Note of which files what was imported was made."""
        self._files = {path: _stamp(path) for path in self._origins()}

    def serves(self, wanted: Launch) -> bool:
        """Tell whether that may be a fork of this process: it would import the same, in the same settings."""
        return (
            self._launch is not None
            and bool(self._files)
            and wanted.module in _FORKED
            and wanted.interpreter == self._launch.interpreter
            and secrets.for_tasks(wanted.environment) == self._launch.environment
            and all(_stamp(path) == was for path, was in self._files.items())
        )

    def take_on(self, environment: Mapping[str, str]) -> None:
        """Give this process, which was just forked, the environment of a component, secrets included."""
        before = self._launch.environment if self._launch else {}
        if environment == before:
            return
        for name in before.keys() - environment.keys():
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in environment.items() if before.get(name) != value})
        boot.apply(os.environ)
        settings = importlib.import_module("airflow.settings")
        settings.configure_vars()
        settings.configure_orm()
        importlib.import_module("airflow.configuration").conf.mask_secrets()
        await_database(settings.engine.connect)

    def _origins(self) -> Iterator[str]:
        """Yield the files and folders that what was imported depends on."""
        for module in list(sys.modules.values()):
            if origin := getattr(module, "__file__", None):
                yield origin
        # A package that comes or goes changes its folder.
        yield from (place for place in sys.path if place.endswith("site-packages"))
        home = os.environ.get("AIRFLOW_HOME", "")
        yield os.environ.get("AIRFLOW_CONFIG") or str(Path(home) / "airflow.cfg")


def await_database(
    connect: Callable[[], Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the database answers, or after ten seconds: then the component will say what is wrong.

    A fork begins within milliseconds. One that replaces a component which ended with its database would
    find none yet and end as well, and would count as one that cannot live.
    """
    deadline = clock() + _DATABASE_SECONDS
    while True:
        try:
            connect().close()
        except Exception:
            if clock() >= deadline:
                return
            sleep(0.1)
        else:
            return


def _stamp(path: str) -> tuple[int, int] | None:
    """Return what changes with a file or a folder; None when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - two thousand of them, at each start
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
