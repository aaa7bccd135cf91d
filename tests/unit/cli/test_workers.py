"""`orrery workers`, for people and for programs, on answers as the route gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from fastapi.encoders import jsonable_encoder

from orrery.cli import workers as command
from orrery.cli.workers import memory, workers
from orrery.errors import InputError, OrreryError, StateError
from orrery.executor.advice import UsageSummary
from orrery.executor.resources import Resources
from orrery.executor.snapshot import NodeView, Snapshot, TaskView, WaitingView
from orrery.ui.overview import Overview, merged, with_advice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    #: Runs the command on an answer.
    Run = Callable[..., Result]

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GIB = 1024**3
ASKS = Resources(cpu_millicores=500, memory_bytes=2 * GIB)

NODE = NodeView(
    name="alpha",
    state="ready",
    allocatable=Resources(cpu_millicores=2000, memory_bytes=8 * GIB),
    requested=ASKS,
    cpu_millicores=250,
    memory_bytes=GIB,
    starting=1,
    max_starting=4,
    heard_at=NOW,
    notes=("memory is watched, not limited",),
)
RUNNING = TaskView(
    ti_id="1",
    dag_id="etl",
    task_id="load",
    run_id="monday",
    map_index=3,
    try_number=2,
    resources=ASKS,
    node="alpha",
    started_at=NOW - timedelta(minutes=5),
    memory_bytes=300 * 1024**2,
    memory_peak_bytes=GIB,
)
WAITING = WaitingView(
    ti_id="2",
    dag_id="etl",
    task_id="index",
    run_id="monday",
    resources=replace(ASKS, gpus=1),
    queued_at=NOW - timedelta(seconds=40),
    reason="waits for 1 GPU: node alpha has [0 GPU] free",
)
SNAPSHOT = Snapshot(
    scheduler="one",
    taken_at=NOW,
    nodes=(NODE, replace(NODE, name="beta", notes=())),
    running=(RUNNING, replace(RUNNING, ti_id="3", task_id="other", node="beta")),
    waiting=(WAITING,),
    waiting_total=90,
)
USED = UsageSummary(
    runs=20,
    resources=ASKS,
    memory_peak_bytes=GIB,
    cpu_p95_millicores=None,
    advice="asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB",
)


def overview(*snapshots: Snapshot, executor: str = "PackingExecutor", now: datetime = NOW) -> Overview:
    return merged(snapshots, executor=executor, now=now)


FULL = with_advice(overview(SNAPSHOT), {("etl", "load"): USED, ("etl", "elsewhere"): USED})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def on(answer: Overview, *arguments: str) -> Result:
        monkeypatch.setattr(command, "_ask", lambda: jsonable_encoder(answer))
        return CliRunner().invoke(workers, arguments)

    return on


def test_people_see_how_full_the_nodes_are_what_runs_what_waits_and_why(run: Run) -> None:
    result = run(FULL)

    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: " ".join(line.split()) for line in result.output.splitlines() if line.strip()}
    assert lines["alpha"] == "alpha ready 0.25 0.5 2 1 GiB 2 GiB 8 GiB 1 1"
    assert lines["etl.load[3]"] == "etl.load[3] (try 2) monday alpha 0.5 2 GiB 300 MiB 1 GiB 5 min"
    assert lines["etl.index"] == (
        "etl.index monday 0.5 CPU, 2 GiB, 1 GPU 40 s waits for 1 GPU: node alpha has [0 GPU] free"
    )
    assert lines["alpha:"] == "alpha: memory is watched, not limited"
    assert lines["etl.load:"].startswith("etl.load: asks 2 GiB, used 310 MiB at most over 20 runs")
    assert "The first 1 of 90 that wait." in result.output


def test_programs_get_the_whole_answer_and_nothing_else(run: Run) -> None:
    result = run(FULL, "-o", "json")

    assert json.loads(result.stdout) == jsonable_encoder(FULL)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], {"STATE", "RUNNING", "WAITING", "ask"}),
        (["--running"], {"RUNNING"}),
        (["--waiting"], {"WAITING"}),
        (["--running", "--waiting"], {"RUNNING", "WAITING"}),
        (["--node", "alpha"], {"STATE", "RUNNING", "ask"}),
    ],
)
def test_parts_can_be_asked_for(run: Run, arguments: list[str], shown: set[str]) -> None:
    words = run(FULL, *arguments).output.split()

    # The table of nodes has a column RUNNING too: the table of tasks is told by the heading after it.
    found: set[str] = {heading for heading in ("STATE", "WAITING", "ask") if heading in words}
    found |= {"RUNNING"} if "MOST" in words else set()
    assert found == shown


def test_one_node_is_shown_with_what_runs_there(run: Run) -> None:
    told = json.loads(run(FULL, "--node", "beta", "-o", "json").stdout)

    assert [node["name"] for node in told["nodes"]] == ["beta"]
    assert [task["task_id"] for task in told["running"]] == ["other"]
    assert told["advice"] == []


def test_an_unknown_node_is_an_error_that_names_those_there_are(run: Run) -> None:
    error = run(FULL, "--node", "gamma").exception

    assert isinstance(error, InputError)
    assert (error.message, error.hint) == ("There is no node 'gamma'.", "The nodes are: alpha, beta")


def test_nothing_to_see_is_said_in_words(run: Run) -> None:
    result = run(overview(Snapshot(scheduler="one", taken_at=NOW, nodes=(NODE,))))

    assert "Nothing runs." in result.output
    assert "Nothing waits." in result.output


def test_another_executor_is_an_error_with_the_line_to_change(run: Run) -> None:
    error = run(overview(executor="LocalExecutor")).exception

    assert isinstance(error, StateError)
    assert "LocalExecutor" in error.message
    assert "executor: packing" in (error.hint or "")


def test_programs_get_the_answer_of_another_executor_too(run: Run) -> None:
    result = run(overview(executor="LocalExecutor"), "-o", "json")

    assert result.exit_code == 4
    assert "set executor: packing" in json.loads(result.stdout)["message"]


def test_a_scheduler_that_has_not_reported_yet_is_not_another_executor(run: Run) -> None:
    result = run(overview())

    assert result.exit_code == 3
    assert "No scheduler has reported its nodes yet" in result.output


@pytest.mark.parametrize("state", ["unreachable", "cordoned"])
def test_a_deployment_without_a_node_that_takes_tasks_is_not_well(run: Run, state: str) -> None:
    result = run(overview(Snapshot(scheduler="one", taken_at=NOW, nodes=(replace(NODE, state=state),))))

    assert result.exit_code == 3
    assert ("not heard of since" in result.output) == (state == "unreachable")


def test_what_is_old_is_told_with_its_time(run: Run) -> None:
    result = run(overview(SNAPSHOT, now=NOW + timedelta(minutes=1)))

    assert result.exit_code == 3
    assert "No scheduler has reported since" in result.output
    assert "alpha: not heard of since" in result.output


def test_what_may_not_be_read_is_counted(run: Run) -> None:
    assert "Not shown: 4 tasks" in run(replace(FULL, hidden_tasks=4)).output


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, None), (0, "0 MiB"), (GIB - 1, "1024 MiB"), (GIB, "1 GiB"), (1.5 * GIB, "1.5 GiB")],
)
def test_memory_is_told_in_units_for_people(amount: int | None, text: str | None) -> None:
    assert memory(amount) == text


def test_a_deployment_that_does_not_run_is_told_as_by_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dags").mkdir()
    monkeypatch.chdir(tmp_path)

    error = CliRunner().invoke(workers).exception

    assert isinstance(error, StateError)
    assert "does not run" in error.message
    assert error.hint == "Start it: orrery up"


def test_an_api_that_knows_no_workers_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from orrery.cli import context
    from orrery.local import status
    from orrery.local.api import NotFoundError

    class Old:
        """A running deployment of a release before this one."""

        state = supervisor = property(lambda self: self)

        def is_running(self) -> bool:
            return True

        def __enter__(self) -> Old:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def get_orrery(self, path: str) -> Any:
            raise NotFoundError(f"{path} is not there")

    monkeypatch.setattr(context, "local_deployment", lambda quiet: Old())
    monkeypatch.setattr(status, "client", lambda state: Old())

    error = CliRunner().invoke(workers).exception

    assert isinstance(error, OrreryError)
    assert "orrery down; orrery up" in (error.hint or "")
