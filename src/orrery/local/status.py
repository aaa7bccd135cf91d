"""What a local deployment is doing now."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orrery.components import COMPONENTS, POSTGRES, WORKER, Component
from orrery.errors import StateError
from orrery.local import processes
from orrery.local.api import USERNAME, Api, ApiError
from orrery.local.record import Record
from orrery.local.supervisor import Crash, Program, Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orrery.local.state import State

ComponentState = Literal["healthy", "starting", "unhealthy", "restarting", "failed", "stopping", "stopped"]
DeploymentState = Literal["healthy", "starting", "unhealthy", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentStatus:
    """One component, now."""

    name: str
    state: ComponentState
    pid: int | None
    #: Of the process and its descendants; shared pages are counted once.
    memory_bytes: int | None
    #: Seconds since it was started.
    uptime_seconds: int | None
    #: How often it has ended unasked since a command last started it.
    crashes: int
    #: Why it is not healthy, or what ended it last.
    why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProblem:
    """A DAG file that does not import."""

    file: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """A deployment, now."""

    state: DeploymentState
    name: str
    url: str | None
    username: str
    password_file: str
    runtime: str | None
    #: Processes that a killed process manager left running.
    leftovers: int
    components: tuple[ComponentStatus, ...]
    #: None when Airflow's API could not be asked.
    import_errors: tuple[ImportProblem, ...] | None


def url_of(state: State) -> str | None:
    """Return the URL of the deployment that this state tells of, running or not."""
    record = Record.read(state)
    return f"http://localhost:{record.port}" if record else None


def client(state: State, *, timeout_seconds: float = 30) -> Api:
    """Return a client of the running deployment."""
    record = Record.read(state)
    if record is None:
        raise StateError("This deployment has never been started.", hint="Start it: orrery up")
    try:
        password = state.admin_password.read_text().strip()
    except OSError as error:
        raise StateError(
            f"The admin's password cannot be read: {state.admin_password}: {error.strerror}.",
            hint="Make a new one: orrery restart",
        ) from error
    return Api(f"http://127.0.0.1:{record.port}", password=password, timeout_seconds=timeout_seconds)


def read_status(state: State, *, name: str) -> Status:
    """Look at a deployment: its process manager, Airflow's health and import errors."""
    record = Record.read(state)
    supervisor = Supervisor(state)
    programs = supervisor.programs()
    health: dict[str, Any] | None = None
    problems: tuple[ImportProblem, ...] | None = None
    if programs and record:
        with client(state) as api:
            health = api.health()
            if health is not None:
                problems = import_problems(api)
    now = time.time()
    components = tuple(
        component_status(component, programs.get(component.name), health, supervisor, now=now)
        for component in COMPONENTS
        if not programs or component.name in programs
    )
    return Status(
        state=overall(components) if programs else "stopped",
        name=name,
        url=url_of(state) if programs else None,
        username=USERNAME,
        password_file=str(state.admin_password),
        runtime=record.runtime if record else None,
        leftovers=0 if programs else len(processes.of(state)),
        components=components,
        import_errors=problems,
    )


def overall(components: tuple[ComponentStatus, ...]) -> DeploymentState:
    """Say what the deployment is, from what its components are."""
    states = {component.state for component in components}
    if states == {"healthy"}:
        return "healthy"
    if states <= {"healthy", "starting"}:
        return "starting"
    return "unhealthy"


def component_status(
    component: Component,
    program: Program | None,
    health: dict[str, Any] | None,
    supervisor: Supervisor,
    *,
    now: float,
) -> ComponentStatus:
    """Judge one component from its process and from what Airflow says of it."""
    if program is None:
        return ComponentStatus(
            name=component.name,
            state="stopped",
            pid=None,
            memory_bytes=None,
            uptime_seconds=None,
            crashes=0,
            why=None,
        )
    crashes = supervisor.crashes(component.name)
    state = component_state(
        component, program, health, now=now, worker_answers=worker_answers(component, supervisor.state)
    )
    why = None
    if is_looping(crashes, now=now):
        # It comes up each time, so that a look at the right moment finds it healthy.
        state = state if state == "failed" else "unhealthy"
    if crashes and state != "healthy":
        why = reason(program, supervisor.state.log(component.name), crashes)
    elif state == "unhealthy":
        why = "it runs, but Airflow has not heard from it; see 'orrery logs " + component.name + "'"
    return ComponentStatus(
        name=component.name,
        state=state,
        pid=program.pid,
        memory_bytes=processes.memory_bytes(program.pid) if program.pid else None,
        uptime_seconds=int(now - program.started_at) if program.started_at else None,
        crashes=len(crashes),
        why=why,
    )


#: So many crashes within so many seconds are no accident.
_LOOP_CRASHES = 3
_LOOP_SECONDS = 300


def is_looping(crashes: Sequence[Crash], *, now: float) -> bool:
    """Whether a component crashes again and again, however well it is between two crashes."""
    return sum(now - crash.at < _LOOP_SECONDS for crash in crashes) >= _LOOP_CRASHES


#: A component that says nothing for this long after its start is unhealthy, not starting any more.
_START_LIMIT_SECONDS = 90


def component_state(
    component: Component,
    program: Program,
    health: dict[str, Any] | None,
    *,
    now: float,
    worker_answers: bool = False,
) -> ComponentState:
    """Judge a component, purely: its process's state, Airflow's health and the time."""
    if program.state != "running" and program.state != "starting":  # noqa: PLR1714 - mypy narrows this
        return program.state
    if component is POSTGRES:
        return "healthy"
    if is_heard(component, program, health, worker_answers=worker_answers):
        return "healthy"
    started = program.started_at or now
    return "starting" if now - started < _START_LIMIT_SECONDS else "unhealthy"


def is_heard(
    component: Component, program: Program, health: dict[str, Any] | None, *, worker_answers: bool = False
) -> bool:
    """Whether Airflow has heard from this start of the component, not from an earlier one.

    Of the worker, which is no job of Airflow's: whether it answers.
    """
    if component is WORKER:
        return worker_answers
    if health is None:
        return False
    if component.health_key is None:
        return True  # the api-server answered
    told = health.get(component.health_key) or {}
    beat = told.get(f"latest_{component.health_key}_heartbeat")
    if told.get("status") != "healthy" or not beat or program.started_at is None:
        return False
    return datetime.fromisoformat(beat).timestamp() >= program.started_at


def worker_answers(component: Component, state: State) -> bool:
    """Whether the component is the worker, and its agent serves its socket."""
    if component is not WORKER:
        return False
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(1)
        try:
            end.connect(str(state.worker_socket))
        except OSError:
            return False
    return True


def reason(program: Program, log: Path, crashes: Sequence[Crash]) -> str:
    """Say why a program ended: its exits, and the line of its log that tells most."""
    if program.spawn_error:
        return program.spawn_error
    times = f", {len(crashes)} times" if len(crashes) > 1 else ""
    # A killed program has written no reason: its last line would mislead.
    line = telling_line(log, errors_only=bool(crashes) and crashes[-1].how.startswith("terminated"))
    return f"{crashes[-1].how if crashes else 'ended'}{times}" + (f": {line}" if line else "")


_TELLING = re.compile(r"^\s*(?:[\w.]+(?:Error|Exception|Exit)\b.*|.*\b(?:FATAL|CRITICAL|error|ERROR)\b.*)$")


def telling_line(log: Path, *, errors_only: bool = False) -> str | None:
    """Return the last line of a log that names an error; else its last line, unless `errors_only`."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return None
    lines = [line for line in lines if line]
    errors = [line for line in lines if _TELLING.match(line)]
    chosen = (errors or ([] if errors_only else lines) or [""])[-1]
    return chosen[:300] or None


def import_problems(api: Api) -> tuple[ImportProblem, ...] | None:
    """Return the DAG files that do not import; None when the API cannot be asked."""
    try:
        answer = api.get("/importErrors", limit=100)
    except ApiError:
        return None
    return tuple(
        ImportProblem(
            file=str(error["filename"]),
            error=(str(error["stack_trace"] or "").strip().splitlines() or ["unknown"])[-1],
        )
        for error in answer.get("import_errors", [])
    )
