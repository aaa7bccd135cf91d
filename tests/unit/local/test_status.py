"""What a deployment is, judged from its processes, Airflow's health and the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from orrery.components import AIRFLOW_COMPONENTS, COMPONENTS, POSTGRES, Component
from orrery.errors import StateError
from orrery.local import status
from orrery.local.record import Record
from orrery.local.state import State, write_private
from orrery.local.status import (
    ComponentStatus,
    component_state,
    component_status,
    is_heard,
    is_looping,
    overall,
    read_status,
    reason,
    telling_line,
)
from orrery.local.supervisor import Crash, Program, ProgramState, Supervisor

if TYPE_CHECKING:
    from pathlib import Path

START = 1_800_000_000.0
API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER = AIRFLOW_COMPONENTS


def program(state: ProgramState = "running", *, started_at: float | None = START, **facts: Any) -> Program:
    values: dict[str, Any] = {"name": "x", "pid": 42, "spawn_error": "", **facts}
    return Program(state=state, started_at=started_at, **values)


def health(
    component: Component, *, beat: float | None = START + 5, status: str | None = "healthy"
) -> dict[str, Any]:
    at = None if beat is None else datetime.fromtimestamp(beat, UTC).isoformat()
    return {str(component.health_key): {"status": status, f"latest_{component.health_key}_heartbeat": at}}


def component(state: Any, name: str = "x") -> ComponentStatus:
    return ComponentStatus(
        name=name, state=state, pid=1, memory_bytes=1, uptime_seconds=1, crashes=0, why=None
    )


@pytest.mark.parametrize("heard", [SCHEDULER, DAG_PROCESSOR, TRIGGERER], ids=lambda item: str(item.name))
@pytest.mark.parametrize(
    ("beat", "told", "expected"),
    [
        (START + 5, "healthy", True),
        (START, "healthy", True),
        (START - 1, "healthy", False),  # of an earlier start
        (None, "healthy", False),
        (START + 5, "unhealthy", False),
        (START + 5, None, False),
        (None, None, False),
    ],
)
def test_only_a_beat_of_this_start_counts(
    heard: Component, beat: float | None, told: str | None, expected: bool
) -> None:
    assert is_heard(heard, program(), health(heard, beat=beat, status=told)) is expected


def test_a_beat_in_airflows_own_notation_is_read() -> None:
    told = {"scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2027-01-15T08:00:05.123456Z"}}
    assert is_heard(SCHEDULER, program(), told)


@pytest.mark.parametrize(
    "told", [None, {}, {"scheduler": None}, {"scheduler": {}}, {"scheduler": {"status": "healthy"}}]
)
def test_silence_is_not_health(told: dict[str, Any] | None) -> None:
    assert not is_heard(SCHEDULER, program(), told)


def test_another_components_beat_does_not_count() -> None:
    assert not is_heard(SCHEDULER, program(), health(TRIGGERER))


def test_a_process_that_has_not_started_cannot_be_heard() -> None:
    assert not is_heard(SCHEDULER, program("failed", started_at=None), health(SCHEDULER))


@pytest.mark.parametrize(("told", "expected"), [({}, True), (None, False)])
def test_the_api_server_is_heard_when_it_answers(told: dict[str, Any] | None, expected: bool) -> None:
    assert is_heard(API_SERVER, program(), told) is expected


@pytest.mark.parametrize("state", ["stopped", "restarting", "failed", "stopping"])
@pytest.mark.parametrize("one", COMPONENTS, ids=lambda item: str(item.name))
def test_a_process_that_is_not_there_is_what_the_process_manager_says(
    one: Component, state: ProgramState
) -> None:
    # Whatever the health still tells of before
    told = health(one) if one.health_key else {}
    assert component_state(one, program(state), told, now=START + 10) == state


@pytest.mark.parametrize("state", ["starting", "running"])
@pytest.mark.parametrize(
    ("after", "heard", "expected"),
    [
        (1, True, "healthy"),
        (1, False, "starting"),
        (89, False, "starting"),
        (90, False, "unhealthy"),
        (9000, False, "unhealthy"),
        (9000, True, "healthy"),
    ],
)
def test_a_running_component_is_starting_until_it_is_heard_or_late(
    state: ProgramState, after: float, heard: bool, expected: str
) -> None:
    told = health(SCHEDULER) if heard else {}
    assert component_state(SCHEDULER, program(state), told, now=START + after) == expected


def test_the_database_is_healthy_when_it_runs_whatever_airflow_says() -> None:
    assert component_state(POSTGRES, program(), None, now=START + 9000) == "healthy"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("healthy", "healthy"), "healthy"),
        (("healthy", "starting"), "starting"),
        (("starting",), "starting"),
        (("healthy", "unhealthy"), "unhealthy"),
        (("healthy", "restarting"), "unhealthy"),
        (("starting", "failed"), "unhealthy"),
        (("healthy", "stopped"), "unhealthy"),
        (("healthy", "stopping"), "unhealthy"),
    ],
)
def test_a_deployment_is_as_well_as_its_worst_component(states: tuple[str, ...], expected: str) -> None:
    assert overall(tuple(component(state) for state in states)) == expected


# -- why ----------------------------------------------------------------------------------------------


TRACEBACK = """\
Traceback (most recent call last):
  File "/x/airflow/__main__.py", line 62, in main
    raise AirflowConfigException("x")
airflow.exceptions.AirflowConfigException: error: cannot use SQLite with the LocalExecutor
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            TRACEBACK,
            "airflow.exceptions.AirflowConfigException: error: cannot use SQLite with the LocalExecutor",
        ),
        ("ValueError: 1\nstopping\n", "ValueError: 1"),
        ("a\nOSError: [Errno 98] in use\nbye\n\n", "OSError: [Errno 98] in use"),
        ("2026 FATAL:  lock file exists\n2026 HINT:  remove it\n", "2026 FATAL:  lock file exists"),
        ("{x} ERROR - no database\n", "{x} ERROR - no database"),
        ("ValueError: 1\nKeyError: 2\n", "KeyError: 2"),
        ("only\nthis\n", "this"),
        ("no errors found here? terrors\nlast\n", "last"),
        ("", None),
        ("\n \n", None),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_line_of_a_log_that_tells_most(tmp_path: Path, text: str, line: str | None) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    assert telling_line(log) == line


def test_a_huge_log_with_broken_bytes_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"ValueError: long ago\n" + b"\xff\xfe ok\n" * 100_000 + b"KeyError: now\n")
    assert telling_line(log) == "KeyError: now"


def test_no_log_tells_nothing(tmp_path: Path) -> None:
    assert telling_line(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("spawn_error", "crashes", "expected"),
    [
        ("", ["exit status 1"], "exit status 1: KeyError: x"),
        ("", ["exit status 1", "terminated by SIGKILL"], "terminated by SIGKILL, 2 times: KeyError: x"),
        ("", [], "ended: KeyError: x"),
        ("can't find command '/x'", [], "can't find command '/x'"),
    ],
)
def test_a_reason_tells_the_last_exit_how_often_and_the_line(
    tmp_path: Path, spawn_error: str, crashes: list[str], expected: str
) -> None:
    log = tmp_path / "log"
    log.write_text("KeyError: x\n")
    found = [Crash(at=START, how=how) for how in crashes]
    assert reason(program("failed", spawn_error=spawn_error), log, found) == expected


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    state = State(tmp_path / ".orrery")
    state.ensure()
    state.log("scheduler").write_text("KeyError: x\n")
    return Supervisor(state)


def judged(
    supervisor: Supervisor, found: Program | None, told: dict[str, Any] | None, *, now: float
) -> ComponentStatus:
    return component_status(SCHEDULER, found, told, supervisor, now=now)


def test_a_healthy_component_needs_no_reason(supervisor: Supervisor) -> None:
    found = judged(supervisor, program(pid=None), health(SCHEDULER), now=START + 61)
    assert (found.state, found.why, found.uptime_seconds) == ("healthy", None, 61)


def test_a_component_that_airflow_has_not_heard_from_says_where_to_look(supervisor: Supervisor) -> None:
    found = judged(supervisor, program(pid=None), {}, now=START + 600)
    assert found.state == "unhealthy"
    assert "orrery logs scheduler" in (found.why or "")


def test_a_component_that_starts_again_after_a_crash_still_says_why(supervisor: Supervisor) -> None:
    crashed(supervisor, START - 1)
    found = judged(supervisor, program("starting"), {}, now=START + 1)
    assert (found.state, found.crashes, found.why) == ("starting", 1, "exit status 1: KeyError: x")


def crashed(supervisor: Supervisor, *times: float) -> None:
    """Let the process manager's log tell of crashes at these times."""
    supervisor.state.supervisor_log.write_text(
        "".join(
            f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S},000 WARN exited: scheduler"
            " (exit status 1; not expected)\n"
            for at in times
        )
    )


@pytest.mark.parametrize(
    ("ages", "looping"),
    [
        ([], False),
        ([1, 2], False),
        ([1, 2, 3], True),
        ([1, 150, 299], True),
        ([1, 150, 300], False),
        ([301, 302, 303, 304], False),
        ([1, 2, 299, 9000], True),
    ],
)
def test_three_crashes_within_five_minutes_are_a_loop(ages: list[float], looping: bool) -> None:
    assert is_looping([Crash(at=START - age, how="x") for age in ages], now=START) is looping


def test_a_component_that_crashes_again_and_again_is_unhealthy_also_between_two_crashes(
    supervisor: Supervisor,
) -> None:
    crashed(supervisor, START - 200, START - 100, START - 1)
    found = judged(supervisor, program(pid=None), health(SCHEDULER), now=START + 10)
    assert (found.state, found.why) == ("unhealthy", "exit status 1, 3 times: KeyError: x")
    # and is forgiven in time
    later = judged(supervisor, program(pid=None), health(SCHEDULER), now=START + 200)
    assert (later.state, later.why, later.crashes) == ("healthy", None, 3)


def test_a_component_that_was_given_up_has_failed_however_often_it_crashed(supervisor: Supervisor) -> None:
    crashed(supervisor, START - 3, START - 2, START - 1)
    found = judged(supervisor, program("failed", pid=None, started_at=None), {}, now=START)
    assert (found.state, found.crashes) == ("failed", 3)


def test_a_component_that_nobody_knows_is_stopped(supervisor: Supervisor) -> None:
    found = judged(supervisor, None, None, now=START)
    assert (found.state, found.pid, found.why) == ("stopped", None, None)


# -- the whole ----------------------------------------------------------------------------------------


def test_a_deployment_that_never_ran_is_stopped_and_makes_no_folder(tmp_path: Path) -> None:
    found = read_status(State(tmp_path / ".orrery"), name="shop")
    assert (found.state, found.name, found.url, found.leftovers) == ("stopped", "shop", None, 0)
    assert {item.state for item in found.components} == {"stopped"}
    assert not (tmp_path / ".orrery").exists()


def test_the_address_of_a_deployment_is_known_also_when_it_is_stopped(tmp_path: Path) -> None:
    state = State(tmp_path / ".orrery")
    assert status.url_of(state) is None
    state.ensure()
    Record(
        port=8090,
        postgres_port=None,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        programs="",
        planned_port=8080,
        database=None,
    ).write(state)
    assert status.url_of(state) == "http://localhost:8090"


def test_a_client_without_a_password_file_says_which_and_how_to_make_one(tmp_path: Path) -> None:
    state = State(tmp_path / ".orrery")
    state.ensure()
    Record(
        port=8090,
        postgres_port=None,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        programs="",
        planned_port=8080,
        database=None,
    ).write(state)
    with pytest.raises(StateError, match="No such file") as caught:
        status.client(state)
    assert str(state.admin_password) in caught.value.message
    assert "orrery restart" in (caught.value.hint or "")
    # and with one there is a client
    write_private(state.admin_password, "secret")
    with status.client(state):
        pass


def test_after_a_kill_the_last_line_of_the_log_is_no_reason(tmp_path: Path) -> None:
    log = tmp_path / "api-server.log"
    log.write_text("Uvicorn running on http://127.0.0.1:8080\n")
    program = Program(name="api-server", state="restarting", pid=None, started_at=None, spawn_error="")
    killed = [Crash(at=1.0, how="terminated by SIGKILL")]
    assert reason(program, log, killed) == "terminated by SIGKILL"
    # but an error that it has written is
    log.write_text("MemoryError: no room\n")
    assert reason(program, log, killed) == "terminated by SIGKILL: MemoryError: no room"
