"""The process manager's configuration, as the process manager itself reads it."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from orrery.components import AIRFLOW_COMPONENTS, COMPONENTS, POSTGRES
from orrery.errors import MachineError
from orrery.local import supervisor
from orrery.local.state import State
from orrery.local.supervisor import Supervisor, launch_command, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Reads a configuration as supervisord does and prints what it has understood.
READ = """
import json, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-n", "-c", sys.argv[1]])
print(json.dumps({
    "socket": options.server_configs[0]["file"],
    "pidfile": options.pidfile,
    "logfile": options.logfile,
    "groups": [{"name": g.name, "priority": g.priority, "programs": [
        {"name": p.name, "command": p.command, "log": p.stdout_logfile, "autostart": p.autostart,
         "stopwaitsecs": p.stopwaitsecs, "stopsignal": int(p.stopsignal)}
        for p in g.process_configs]} for g in options.process_group_configs],
}))
"""
ODD = ["plain", "with space", "my project #1", "a ;b", "100%", "%(here)s", "quote\"'s", "ümlaut", "-dash"]


def understood(state: State, commands: dict[str, list[str]]) -> Any:
    state.root.parent.mkdir(parents=True, exist_ok=True)
    state.ensure()
    Supervisor(state).configure(commands)
    ended = subprocess.run(
        [sys.executable, "-c", READ, str(state.supervisor_configuration)],
        cwd=state.run,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", ODD)
def test_any_folders_name_reaches_the_process_manager_unharmed(tmp_path: Path, name: str) -> None:
    # Given a project in a folder with signs that the file format knows
    state = State(tmp_path / name / ".orrery")
    command = ["/bin/echo", str(state.root), "%s; # '", "a  #b"]
    # When the process manager reads its configuration
    read = understood(state, {component.name: command for component in COMPONENTS})
    # Then it has every path and every word as they were
    assert (state.run / read["socket"]).resolve() == state.socket.resolve()
    assert (state.run / read["logfile"]).resolve() == state.supervisor_log.resolve()
    assert (state.run / read["pidfile"]).resolve() == (state.run / "supervisord.pid").resolve()
    for group in read["groups"]:
        for program in group["programs"]:
            assert shlex.split(program["command"]) == command
            assert (state.run / program["log"]).resolve() == state.log(program["name"]).resolve()


def test_airflow_stops_before_the_database(tmp_path: Path) -> None:
    read = understood(
        State(tmp_path / ".orrery"), {component.name: ["/bin/true"] for component in COMPONENTS}
    )
    # supervisord stops the group of the highest priority first.
    order = sorted(read["groups"], key=lambda group: -group["priority"])
    assert [group["name"] for group in order] == ["airflow", POSTGRES.name]
    assert {program["name"] for program in order[0]["programs"]} == {item.name for item in AIRFLOW_COMPONENTS}


def test_each_component_stops_as_its_row_says_and_starts_only_when_told(tmp_path: Path) -> None:
    read = understood(
        State(tmp_path / ".orrery"), {component.name: ["/bin/true"] for component in COMPONENTS}
    )
    programs = {program["name"]: program for group in read["groups"] for program in group["programs"]}
    for component in COMPONENTS:
        program = programs[component.name]
        assert program["stopwaitsecs"] == component.grace_seconds
        assert program["stopsignal"] == {"TERM": 15, "INT": 2}[component.stop_signal]
        assert program["autostart"] is False


def test_without_a_database_of_ours_there_is_no_such_program(tmp_path: Path) -> None:
    read = understood(
        State(tmp_path / ".orrery"), {component.name: ["/bin/true"] for component in AIRFLOW_COMPONENTS}
    )
    assert [group["name"] for group in read["groups"]] == ["airflow"]


def test_a_configuration_holds_no_environment(tmp_path: Path) -> None:
    text = render(State(tmp_path / ".orrery"), {"scheduler": ["/bin/true"]})
    assert "environment=" not in text


def test_a_component_is_started_through_the_launcher(tmp_path: Path) -> None:
    state = State(tmp_path / ".orrery")
    command = launch_command(state.launch_file, ["scheduler", "--skip-serve-logs"])
    assert command[0] == sys.executable
    assert command[-2:] == ["scheduler", "--skip-serve-logs"]
    assert command[-3] == str(state.launch_file)


LOG = """\
2026-01-01 10:00:00,000 INFO spawned: 'scheduler' with pid 10
2026-01-01 10:00:01,000 WARN exited: scheduler (exit status 1; not expected)
2026-01-01 10:00:02,250 WARN exited: scheduler (terminated by SIGKILL; not expected)
2026-01-01 10:00:03,000 WARN exited: api-server (exit status 1; not expected)
2026-01-01 10:00:03,000 INFO exited: scheduler (exit status 0; expected)
2026-01-01 10:00:04,000 INFO stopped: scheduler (exit status 0)
2026-01-01 10:00:05,000 INFO gave up: scheduler entered FATAL state, too many start retries too quickly
"""


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("scheduler", ["exit status 1", "terminated by SIGKILL", "exit status 0"]),
        ("api-server", ["exit status 1"]),
        ("server", []),
        ("postgres", []),
    ],
)
def test_crashes_are_read_from_the_log_stops_are_not(tmp_path: Path, name: str, ends: list[str]) -> None:
    state = State(tmp_path / ".orrery")
    state.ensure()
    state.supervisor_log.write_text(LOG)
    assert [crash.how for crash in Supervisor(state).crashes(name)] == ends


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shell in another time zone than the process manager's."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_the_time_of_a_crash_is_the_same_in_every_shell(tmp_path: Path) -> None:
    state = State(tmp_path / ".orrery")
    state.ensure()
    state.supervisor_log.write_text(LOG)
    begun = datetime(2026, 1, 1, 10, tzinfo=UTC).timestamp()
    ends = [crash.at - begun for crash in Supervisor(state).crashes("scheduler")]
    assert ends == [1, 2.25, 3]


def test_without_a_log_nothing_has_crashed(tmp_path: Path) -> None:
    assert Supervisor(State(tmp_path / ".orrery")).crashes("scheduler") == []


def test_where_nothing_runs_nothing_answers(tmp_path: Path) -> None:
    client = Supervisor(State(tmp_path / ".orrery"))
    assert not client.is_running()
    assert client.programs() == {}


def test_a_socket_that_a_killed_process_manager_left_does_not_count(tmp_path: Path) -> None:
    state = State(tmp_path / ".orrery")
    state.ensure()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state.socket))
    assert state.socket.exists()
    assert not Supervisor(state).is_running()


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A process manager that takes every call and answers none, as one that was stopped by a signal."""
    monkeypatch.setattr(supervisor, "_ANSWER_SECONDS", 0.1)
    state = State(tmp_path / ".orrery")
    state.ensure()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state.socket))
        server.listen()
        yield Supervisor(state)


@pytest.mark.timeout(60)
def test_a_process_manager_that_never_answers_counts_as_gone(silent: Supervisor) -> None:
    assert not silent.is_running()
    assert silent.programs() == {}


@pytest.mark.timeout(60)
def test_a_change_that_nobody_answers_is_an_error_that_people_read(silent: Supervisor) -> None:
    with pytest.raises(MachineError, match="does not answer") as caught:
        silent.start_program(POSTGRES)
    assert "orrery down" in (caught.value.hint or "")


def test_an_answer_is_waited_for_longer_than_any_component_may_take_to_stop() -> None:
    assert max(component.grace_seconds for component in COMPONENTS) < supervisor._ANSWER_SECONDS


def test_a_process_manager_that_cannot_start_says_why(tmp_path: Path) -> None:
    state = State(tmp_path / ".orrery")
    state.ensure()
    state.supervisor_configuration.write_text("[supervisord]\nminfds=never\n")
    with pytest.raises(MachineError, match=r"did not start: .*never"):
        Supervisor(state).start()


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("STOPPED", "stopped"),
        ("STARTING", "starting"),
        ("RUNNING", "running"),
        ("BACKOFF", "restarting"),
        ("STOPPING", "stopping"),
        ("EXITED", "restarting"),
        ("FATAL", "failed"),
        ("UNKNOWN", "failed"),
        ("SOMETHING NEW", "failed"),
    ],
)
def test_the_process_managers_words_become_ours(told: str, state: str) -> None:
    info = {"name": "scheduler", "statename": told, "pid": 0, "start": 5, "exitstatus": 1, "spawnerr": "why"}
    program = supervisor._program(info)
    assert (program.state, program.pid, program.started_at) == (state, None, None)
    assert program.spawn_error == "why"


def test_that_a_program_ended_at_once_is_no_reason() -> None:
    told = "Exited too quickly (process log may have details)"
    info = {"name": "x", "statename": "FATAL", "pid": 0, "start": 5, "exitstatus": 1, "spawnerr": told}
    assert supervisor._program(info).spawn_error == ""
