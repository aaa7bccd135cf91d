"""The process manager itself: supervisord, which forks Airflow's components from one that is imported.

Each component needs Airflow, some 200 MB of modules, and so does the worker. Here they are imported once,
before supervisord begins, and a component is a fork of this process: what it does not change it shares. To
supervisord it is a child like any other: pid, signals, log and exit status are its own.

A component starts cold, by exec, as it would without all this, when what it should run differs from what was
imported: another interpreter, another environment, another airflow.cfg, a changed file of a module. So a
component that is restarted never sees yesterday's code or settings.

Run as `python -m orrery.local.manager LAUNCH_FILE -- ARGUMENTS`, in the environment of the worker, which the
launch file is of; ARGUMENTS are supervisord's. This process never holds a secret of the platform: the worker
runs users' code, and comes from its memory.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor import supervisord
from supervisor.options import ServerOptions

from orrery import garbage
from orrery.local.imported import Imported, Launch

if TYPE_CHECKING:
    from typing import NoReturn

_TITLE = "orrery-manager (supervisord)"
#: The environment of what is no component of Airflow's: PostgreSQL needs no settings of ours.
_PLAIN = ("ORRERY_DEPLOYMENT",)
_PATH = "/usr/local/bin:/usr/bin:/bin"
_HANDLED = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2)


class Options(ServerOptions):  # type: ignore[misc]
    """supervisord's doors to the system, with one that leads to a fork of Airflow instead of an exec."""

    imported: Imported
    time_zone: str | None

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        """Become what is asked for; comes back only by an error."""
        launch = Launch.of(argv)
        if launch is not None and self.imported.serves(launch):
            self.become(launch)
        plain = {name: env[name] for name in _PLAIN if name in env}
        os.execve(filename, argv, plain | {"PATH": _PATH, "TZ": "UTC"})  # noqa: S606

    def become(self, launch: Launch) -> NoReturn:
        """Be a component, in a process that was just forked, to its end."""
        code: object = 0
        try:
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _set_time_zone(self.time_zone)
            garbage.collect_seldom()
            # As `python -m` has it, also for who would start it again.
            sys.argv = [launch.module, *launch.words]
            sys.orig_argv = [launch.interpreter, "-m", *sys.argv]
            importlib.import_module("setproctitle").setproctitle(" ".join(sys.orig_argv))
            # What `python -m` does: the folder it was started in comes first.
            sys.path.insert(0, str(Path.cwd()))
            self.imported.take_on(launch.environment)
            runpy.run_module(launch.module, run_name="__main__", alter_sys=True)
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 1
        _exit(code)


def main() -> None:
    """Import, then be supervisord."""
    # The folder that `python -m` was started in: a component gets it again.
    del sys.path[0]
    # Finds the place of the title, as long as nobody has changed the environment.
    importlib.import_module("setproctitle").setproctitle(_TITLE)
    options = Options()
    options.time_zone = os.environ.get("TZ")
    options.imported = Imported(Launch.read(sys.argv[1]))
    if why := options.imported.load():
        sys.stderr.write(f"orrery: components share no memory, each starts on its own: {why}\n")
    # Its log's times are read again by shells of any time zone.
    _set_time_zone("UTC")
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


if __name__ == "__main__":
    main()
