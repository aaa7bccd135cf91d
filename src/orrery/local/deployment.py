"""A deployment on this machine, as it is: looked at, watched and stopped as one.

It needs no more than the project's state, so that a deployment can be stopped and looked at whatever
has become of the project's files.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from orrery.components import AIRFLOW_COMPONENTS, POSTGRES
from orrery.errors import MachineError, StateError
from orrery.local import processes
from orrery.local.state import State, read_json
from orrery.local.status import Status, read_status, reason
from orrery.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orrery.components import Component
    from orrery.local.output import Progress


class LocalDeployment:
    """One project's deployment on this machine."""

    def __init__(self, state: State, *, name: str, progress: Progress) -> None:
        self.state = state
        self.name = name
        self.progress = progress
        self.supervisor = Supervisor(state)

    def is_up(self) -> bool:
        """Whether every component of Airflow has been started, in whatever health."""
        found = self.supervisor.programs()
        return bool(found) and all(
            found[component.name].state != "stopped"
            for component in AIRFLOW_COMPONENTS
            if component.name in found
        )

    def status(self) -> Status:
        """Look at it."""
        return read_status(self.state, name=self.name)

    def down(self) -> bool:
        """Stop everything; return whether anything ran. The data stays."""
        if not self.state.run.is_dir():
            return False
        with self.state.locked("down"):
            ran = self.supervisor.is_running() or bool(processes.of(self.state))
            self.stop()
        return ran

    def follow(self) -> None:
        """Watch until it is stopped from elsewhere; say when a component crashes or recovers.

        Raises:
            MachineError: the process manager was killed; what it left behind has been ended.
        """
        states: dict[str, str] = {}
        while programs := self.supervisor.programs():
            for name, program in programs.items():
                before, states[name] = states.get(name, "running"), program.state
                if program.state in (before, "stopping"):
                    continue
                if program.state == "starting":
                    states[name] = before  # not there yet
                if program.state in ("restarting", "failed"):
                    why = reason(program, self.state.log(name), self.supervisor.crashes(name))
                    self.progress.failed(name, f"{program.state}: {why}")
                elif program.state == "running" and before in ("restarting", "failed"):
                    self.progress.note(f"{name} runs again")
            time.sleep(1)
        # Stopped by `down`, which still holds the lock, or killed.
        with contextlib.suppress(StateError), self.state.locked("up"):
            if processes.of(self.state):
                self.clear_leftovers()
                raise MachineError(
                    f"The process manager of '{self.name}' was killed; its components have been ended.",
                    hint="See whether the machine ran out of memory: dmesg | tail; then: orrery up",
                )

    def launch(self) -> tuple[list[str], dict[str, str]]:
        """Return the `airflow` command and the environment of the running deployment's components.

        Raises:
            StateError: it does not run.
        """
        launch = read_json(self.state.launch_file)
        if not launch or not self.supervisor.is_running():
            raise self._stopped()
        return launch["command"], launch["environment"]

    def state_of(self, component: Component) -> str:
        """Return the state of a component's process."""
        program = self.supervisor.programs().get(component.name)
        return program.state if program else "stopped"

    def runs(self, component: Component) -> bool:
        """Whether a component's process is there."""
        return self.state_of(component) in ("starting", "running")

    def clear_leftovers(self) -> None:
        """End what a killed process manager has left running."""
        if left := processes.of(self.state):
            self.progress.note(f"Ending {len(left)} processes that an earlier run left behind")
            processes.end(left, grace_seconds=5)

    def stop(self) -> None:
        """Stop what runs, in order: Airflow's components together, then the database, then the manager."""
        if self.supervisor.is_running():
            with contextlib.suppress(MachineError, OSError):
                self.supervisor.stop_airflow()
            with contextlib.suppress(MachineError, OSError):
                self.supervisor.stop_program(POSTGRES)
            with contextlib.suppress(MachineError, OSError):
                self.supervisor.shut_down()
            deadline = time.monotonic() + 3
            while self.supervisor.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        processes.end(processes.of(self.state), grace_seconds=1)
        self.state.socket.unlink(missing_ok=True)
        for name in ("supervisord.pid", "launch.json", "launch-worker.json"):
            (self.state.run / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Hold the deployment for a command that needs it to run.

        Raises:
            StateError: it does not run, or another command holds it.
        """
        if not self.supervisor.is_running():
            raise self._stopped()
        with self.state.locked(command):
            yield

    def _stopped(self) -> StateError:
        return StateError(
            f"The deployment of '{self.name}' does not run.", hint="Start it: orrery up --detach"
        )
