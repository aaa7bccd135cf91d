"""The process manager itself: supervisord, which forks Airflow's components from one that is imported.

Each component needs Airflow, some 200 MB of modules. Here they are imported once, before supervisord begins,
and a component is a fork of this process: what it does not change it shares. To supervisord it is a child
like any other: pid, signals, log and exit status are its own.

A component starts cold, by exec, as it would without all this, when what it should run differs from what was
imported: another interpreter, another environment, another airflow.cfg or secret, a changed file of a module.
So a component that is restarted never sees yesterday's code or settings. The worker always does: it runs
users' code, and must not come from the memory of a process that holds the platform's secrets.

Run as `python -m orrery.local.manager LAUNCH_FILE FOLDER -- ARGUMENTS`, in the environment of the components
themselves; FOLDER holds the secrets, ARGUMENTS are supervisord's.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor import supervisord
from supervisor.options import ServerOptions

from orrery import immortals
from orrery.config.secrets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

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
)
#: What each component would do first, and copy the memory for: without arguments, a database or a thread.
WARM_UPS = (
    ("airflow.models", "import_all_models"),
    ("sqlalchemy.orm", "configure_mappers"),
    ("airflow.cli.cli_parser", "get_parser"),
)
_TITLE = "orrery-manager (supervisord)"
#: Python's own words that begin a component's command.
_AIRFLOW = ("-m", "airflow")
#: The environment of what is no component of Airflow's: PostgreSQL needs no settings of ours.
_PLAIN = ("ORRERY_DEPLOYMENT",)
_PATH = "/usr/local/bin:/usr/bin:/bin"
_HANDLED = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2)
#: Stays high while a component builds what it keeps: see `orrery.boot`.
_GARBAGE_THRESHOLD = (200_000, 20, 20)
#: Less than a component has to live to count as started.
_DATABASE_SECONDS = 10.0


class Imported:
    """What was imported, and from what."""

    def __init__(self, launch_file: Path, secrets: Path) -> None:
        self._launch_file = launch_file
        self._secrets = secrets
        self._launch = _read(launch_file)
        self._command = (self._launch or {}).get("command", [])
        self._time_zone = os.environ.get("TZ")
        self._files: dict[str, tuple[int, int] | None] = {}

    def load(self) -> str | None:
        """Import all; return why components have to start cold, None when they need not."""
        # The folder that `python -m` was started in: a component gets it again.
        del sys.path[0]
        try:
            # Finds the place of the title, as long as nobody has changed the environment.
            importlib.import_module("setproctitle").setproctitle(_TITLE)
            for name in MODULES:
                importlib.import_module(name)
            for name, function in WARM_UPS:
                getattr(importlib.import_module(name), function)()
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
        if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - a number is wanted
            return "something that Airflow imports has started a thread"
        self.take_note()
        immortals.settle()
        return None

    def take_note(self) -> None:
        """Note of which files what was imported was made."""
        self._files = {path: _stamp(path) for path in self._origins()}

    def arguments(self, argv: Sequence[str]) -> list[str] | None:
        """Return the words after `airflow` when that command may be a fork of this process, else None.

        `argv` is that of `launch.py`: interpreter, its options, script, launch file, words.
        """
        if not self._files or str(self._launch_file) not in argv:
            return None
        launch = _read(self._launch_file)
        if launch is None or launch != self._launch or self._command[1:] != list(_AIRFLOW):
            return None
        if any(_stamp(path) != was for path, was in self._files.items()):
            return None
        return list(argv[argv.index(str(self._launch_file)) + 1 :])

    def become(self, arguments: Sequence[str]) -> NoReturn:
        """Be a component, in a process that was just forked, to its end."""
        code: object = 0
        try:
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _set_time_zone(self._time_zone)
            gc.set_threshold(*_GARBAGE_THRESHOLD)
            title = " ".join([*self._command, *arguments])
            importlib.import_module("setproctitle").setproctitle(title)
            sys.argv = ["airflow", *arguments]
            # What `python -m` does: the folder it was started in comes first.
            sys.path.insert(0, str(Path.cwd()))
            await_database(importlib.import_module("airflow.settings").engine.connect)
            runpy.run_module(_AIRFLOW[1], run_name="__main__", alter_sys=True)
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 1
        _exit(code)

    def _origins(self) -> Iterator[str]:
        """Yield the files and folders that what was imported depends on."""
        for module in list(sys.modules.values()):
            if origin := getattr(module, "__file__", None):
                yield origin
        # A package that comes or goes changes its folder.
        yield from (place for place in sys.path if place.endswith("site-packages"))
        yield from (str(self._secrets / secret.file) for secret in SECRETS)
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


class Options(ServerOptions):  # type: ignore[misc]
    """supervisord's doors to the system, with one that leads to a fork of Airflow instead of an exec."""

    imported: Imported

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        """Become what is asked for; comes back only by an error."""
        if (arguments := self.imported.arguments(argv)) is not None:
            self.imported.become(arguments)
        plain = {name: env[name] for name in _PLAIN if name in env}
        os.execve(filename, argv, plain | {"PATH": _PATH, "TZ": "UTC"})  # noqa: S606


def main() -> None:
    """Import, then be supervisord."""
    launch_file, secrets = Path(sys.argv[1]), Path(sys.argv[2])
    imported = Imported(launch_file, secrets)
    if why := imported.load():
        sys.stderr.write(f"orrery: components share no memory, each starts on its own: {why}\n")
    # Its log's times are read again by shells of any time zone.
    _set_time_zone("UTC")
    options = Options()
    options.imported = imported
    options.realize(sys.argv[sys.argv.index("--") + 1 :], doc=supervisord.__doc__)
    options.first = True
    options.test = False
    supervisord.go(options)
    options.close_httpservers()
    options.close_logger()


def _exit(code: object) -> NoReturn:
    """End as Python ends: threads first, then what was registered, then the code of `sys.exit`."""
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    for last in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):  # type: ignore[attr-defined]
        with contextlib.suppress(BaseException):
            last()
    os._exit(int(code or 0) & 0xFF)


def _set_time_zone(name: str | None) -> None:
    if name is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = name
    time.tzset()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None


def _stamp(path: str) -> tuple[int, int] | None:
    """Return what changes with a file or a folder; None when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - two thousand of them, at each start
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


if __name__ == "__main__":
    main()
