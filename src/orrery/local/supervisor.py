"""The process manager of a local deployment: supervisord, configured and spoken to.

It starts, watches, restarts and stops the components. What a component needs to know lies in the
environment file that `launch.py` reads, so nothing secret stands in this configuration.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shlex
import socket
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orrery.components import AIRFLOW_COMPONENTS, POSTGRES
from orrery.errors import MachineError, StateError
from orrery.local import launch, process
from orrery.local.processes import MARK
from orrery.local.state import State, read_json, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orrery.components import Component

#: supervisord's states in our words.
ProgramState = Literal["stopped", "starting", "running", "restarting", "failed", "stopping"]
_STATES: dict[str, ProgramState] = {
    "STOPPED": "stopped",
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "restarting",
    "STOPPING": "stopping",
    "EXITED": "restarting",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}
#: What a call raises when nobody answers, or somebody who is just ending.
_UNREACHABLE = (OSError, xmlrpc.client.Error, http.client.HTTPException)
#: How long the import of Airflow may take on a machine that is busy and has no bytecode yet.
_IMPORT_SECONDS = 120
#: A component that ends within this many seconds has not started; it is tried again, each time later.
_START_SECONDS = 12
_START_RETRIES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What the process manager knows of one component."""

    name: str
    state: ProgramState
    pid: int | None
    started_at: float | None
    #: What went wrong when it could not even be started.
    spawn_error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Crash:
    """An unasked end of a component."""

    #: Seconds since the epoch.
    at: float
    #: Such as 'exit status 1' or 'terminated by SIGKILL'.
    how: str


class Supervisor:
    """A client of one deployment's process manager."""

    def __init__(self, state: State) -> None:
        self.state = state

    def configure(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Write the configuration: component name -> command."""
        write_private(self.state.supervisor_configuration, render(self.state, commands))

    def start(self, *, imports_airflow: bool = False) -> None:
        """Start the process manager, detached from us; it starts no component by itself.

        One that `imports_airflow` takes some seconds longer; what the launch files say then is forked
        from it: see `manager`. It has the environment of the worker, without any secret.

        Raises:
            MachineError: it ended at once; what it said is told.
        """
        self.state.socket.unlink(missing_ok=True)
        # A new log for each run: the crashes that status tells are those of this run.
        self.state.supervisor_log.unlink(missing_ok=True)
        output = self.state.run / "supervisord.out"
        output.unlink(missing_ok=True)
        command: list[str | Path] = [sys.executable, "-m", "supervisor.supervisord"]
        # Its log's times are read again by shells of any time zone.
        environment = {MARK: self.state.deployment_id, "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC"}
        if imports_airflow:
            launch_file = self.state.worker_launch_file
            launch = read_json(launch_file)
            command = [launch["command"][0], "-m", "orrery.local.manager", launch_file, "--"]
            environment = launch["environment"]
        manager = process.start(
            [*command, "-n", "-c", self.state.supervisor_configuration],
            env=environment,
            cwd=self.state.run,
            output=output,
            detached=True,
        )
        deadline = time.monotonic() + (_IMPORT_SECONDS if imports_airflow else 15)
        while not self.is_running():
            if manager.poll() is not None or time.monotonic() > deadline:
                raise MachineError(
                    f"The process manager did not start: {output.read_text(errors='replace').strip()}",
                    hint=f"Read {self.state.supervisor_log}",
                )
            time.sleep(0.03)

    def is_running(self) -> bool:
        """Whether it answers."""
        try:
            self._call("getState")
        except _UNREACHABLE:
            return False
        return True

    def pid(self) -> int:
        """Return the process manager's pid."""
        return int(self._call("getPID"))

    def programs(self) -> dict[str, Program]:
        """Return what it knows of each component, by name; empty when it does not run."""
        try:
            found = self._call("getAllProcessInfo")
        except _UNREACHABLE:
            return {}
        return {info["name"]: _program(info) for info in found}

    def start_program(self, component: Component) -> None:
        """Start a component and return at once; one that runs already is left alone."""
        asked_at = time.time()
        if self._tell("startProcess", _full_name(component), False):
            # On a full disk the crashes of before are counted too; that is worth no failed start.
            with contextlib.suppress(OSError):
                write_private(self._asked_file(component.name), str(asked_at))

    def stop_program(self, component: Component) -> None:
        """Stop a component and wait until it has ended."""
        self._tell("stopProcess", _full_name(component), True)

    def stop_airflow(self) -> None:
        """Stop all components of Airflow at once and wait until they have ended."""
        self._tell("stopProcessGroup", "airflow", True)

    def shut_down(self) -> None:
        """Ask it to end; it ends what still runs."""
        self._tell("shutdown")

    def crashes(self, name: str) -> list[Crash]:
        """Return how a component has ended unasked since somebody last started it, each time.

        Read from its log, because what it answers has forgotten the exit of a program that it starts
        again.
        """
        try:
            log = self.state.supervisor_log.read_text(errors="replace")
        except OSError:
            return []
        line = rf"^(\S+ \S+) \w+ exited: {re.escape(name)} \((.*); (?:not )?expected\)"
        found = [
            Crash(at=datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp(), how=how)
            for at, how in re.findall(line, log, re.MULTILINE)
        ]
        try:
            asked_at = float(self._asked_file(name).read_text())
        except (OSError, ValueError):
            return found
        return [crash for crash in found if crash.at >= asked_at]

    def _asked_file(self, name: str) -> Path:
        """Return the file that tells when a component was last started by a command, not by itself."""
        return self.state.run / f"{name}.asked"

    def _tell(self, method: str, *arguments: Any) -> bool:
        """Call a method that changes something; return False when it was so already.

        Raises:
            MachineError: the process manager refused, or does not answer.
        """
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if not re.search("ALREADY_STARTED|NOT_RUNNING|SHUTDOWN_STATE", fault.faultString):
                raise MachineError(
                    f"The process manager refused '{method} {' '.join(map(str, arguments))}':"
                    f" {fault.faultString}",
                    hint=f"Read {self.state.supervisor_log}",
                ) from fault
            return False
        except _UNREACHABLE as error:
            raise MachineError(
                f"The process manager does not answer: {error or type(error).__name__}.",
                hint="Stop what is left of it: orrery down; then: orrery up",
            ) from error
        return True

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _Transport(self.state.socket)
        try:
            proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        except PermissionError as error:
            raise StateError(
                f"The deployment in {self.state.root} was started by another user.",
                hint=f"Run the command as that user: ls -ld {self.state.run}",
            ) from error
        finally:
            transport.close()


#: A manager that does not answer within this time hangs, or is stopped; it is treated as gone. Longer
#: than any component may take to stop.
_ANSWER_SECONDS = 30


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: object) -> http.client.HTTPConnection:
        connection = _Connection(self._path)
        # Where `close` looks for it.
        self._connection = ("localhost", connection)
        return connection


def render(state: State, commands: Mapping[str, Sequence[str]]) -> str:
    """Return supervisord's configuration for these commands."""
    sections = [
        _section(state, "unix_http_server", {"file": state.socket, "chmod": "0700"}),
        _section(
            state,
            "supervisord",
            {
                "logfile": state.supervisor_log,
                "logfile_maxbytes": "5MB",
                "logfile_backups": 1,
                "pidfile": state.run / "supervisord.pid",
                "childlogdir": state.logs,
                "umask": "077",
                "minfds": 256,
            },
        ),
        _section(
            state,
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    airflow = [component for component in AIRFLOW_COMPONENTS if component.name in commands]
    sections.extend(
        _program_section(state, component, commands[component.name])
        for component in (POSTGRES, *airflow)
        if component.name in commands
    )
    # A group stops its members at the same time, and groups stop in order: the database last.
    sections.append(
        _section(
            state, "group:airflow", {"programs": ",".join(item.name for item in airflow), "priority": 20}
        )
    )
    return "\n".join(sections)


def launch_command(launch_file: Path, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that runs what the launch file says at that time, with these arguments."""
    return [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(launch_file), *arguments]


def _program_section(state: State, component: Component, command: Sequence[str]) -> str:
    return _section(
        state,
        f"program:{component.name}",
        {
            # To supervisord a semicolon or hash sign after a space begins a comment, also in quotes:
            # a second pair of quotes keeps them apart.
            "command": re.sub(r"(?<=\s)(?=[;#])", "''", shlex.join(command)),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": 1 if component is POSTGRES else _START_SECONDS,
            "startretries": _START_RETRIES,
            "stopsignal": component.stop_signal,
            "stopwaitsecs": component.grace_seconds,
            # PostgreSQL ends its own children; a signal to them all would be a crash to it.
            "stopasgroup": "false",
            "killasgroup": "true",
            "priority": 10,
            "redirect_stderr": "true",
            "stdout_logfile": state.log(component.name),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": 2,
        },
    )


def _section(state: State, name: str, values: Mapping[str, object]) -> str:
    lines = [f"{key}={_value(value, state)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _value(value: object, state: State) -> str:
    if isinstance(value, Path) and value.is_relative_to(state.root):
        # Relative to the folder it runs in: nothing in the project's path ('#', '%') can be misread.
        return os.path.relpath(value, state.run)
    # supervisord expands %(name)s, so a percent sign of ours is doubled.
    return str(value).replace("%", "%%")


def _full_name(component: Component) -> str:
    return component.name if component is POSTGRES else f"airflow:{component.name}"


def _program(info: dict[str, Any]) -> Program:
    return Program(
        name=info["name"],
        state=_STATES.get(info["statename"], "failed"),
        pid=info["pid"] or None,
        started_at=float(info["start"]) if info["pid"] else None,
        # Of a program that ended at once supervisord says only that: its exit and its log tell more.
        spawn_error="" if info["spawnerr"].startswith("Exited too quickly") else info["spawnerr"],
    )
