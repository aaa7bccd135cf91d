"""A hundred tasks in flight, and something dies: none is lost, none runs twice, nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.acceptance.executor import residue
from tests.acceptance.executor.running import ORRERY, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.acceptance.executor.running import Running

TASKS = 100
#: How long after the end of a fault the last task may end.
STUCK_SECONDS = 60
#: What the agent has promised to remove is removed within this time after the last task's end.
CLEAN_SECONDS = 15

pytestmark = pytest.mark.timeout(600)


@dataclass(kw_only=True)
class Flight:
    """One run of a hundred tasks, and what they wrote down."""

    running: Running
    name: str
    #: Told about the fault in the table.
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.running.traces / self.name

    def lines(self, word: str) -> list[tuple[str, int, int]]:
        """Return (task, pid, try) of each line that begins with a word."""
        found = []
        for file in self.folder.glob("*.txt"):
            for line in file.read_text().splitlines():
                said, pid, try_number, _ = line.split()
                if said == word:
                    found.append((file.stem, int(pid), int(try_number)))
        return found

    def take_off(self) -> None:
        """Start the run, and wait until all its tasks are in flight."""
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.running.trigger("flight", self.name)
        until(
            lambda: len({task for task, _, _ in self.lines("start")}) == TASKS,
            limit_seconds=120,
            what="all tasks are in flight",
        )

    def land(self, which: str) -> None:
        """Tell tasks to land: `half` of them, or all: `go`."""
        (self.folder / which).touch()

    def states(self) -> Counter[str]:
        rows = self.running.sql(
            "SELECT coalesce(state, 'none') FROM task_instance WHERE dag_id = 'flight' AND run_id = %s"
            " AND task_id = 'fly'",
            self.name,
        )
        return Counter(state for (state,) in rows)

    def has_ended(self) -> bool:
        return self.running.run_state("flight", self.name) in ("success", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What came of one fault."""

    fault: str
    states: Counter[str]
    retried: int
    twice: tuple[str, ...]
    seconds: float
    strays: tuple[str, ...]
    groups: int
    folders: int
    notes: tuple[str, ...]

    def line(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        cells = [self.fault, states, self.retried, len(self.twice), f"{self.seconds:.1f}"]
        cells += [len(self.strays), self.groups, self.folders, "; ".join(self.notes)]
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| Fault | Tasks at the end | Tries more | Run twice at one try | Seconds to the last end |"
    " Processes left | Control groups left | Folders left | |\n|---|---|---:|---:|---:|---:|---:|---:|---|"
)


@pytest.fixture(scope="module")
def rows(results: Path) -> Iterator[list[Row]]:
    """The table, written when all faults have been."""
    found: list[Row] = []
    yield found
    text = "\n".join([HEAD, *(row.line() for row in found), ""])
    (results / "faults.md").write_text(text)
    print(f"\n{text}")


@contextlib.contextmanager
def _killed_children(flight: Flight) -> Iterator[None]:
    pids = [pid for task, pid, _ in flight.lines("start") if int(task) % 2]
    for pid in pids[:10]:
        os.kill(pid, signal.SIGKILL)
    flight.notes.append("10 of the children")
    yield


@contextlib.contextmanager
def _killed_zygotes(flight: Flight) -> Iterator[None]:
    found = residue.zygotes(flight.running)
    assert found, "no zygote runs"
    for process in found:
        process.kill()
    flight.notes.append(f"{len(found)} zygotes")
    yield


def _killed(component: str) -> Callable[[Flight], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def fault(flight: Flight) -> Iterator[None]:
        pid = flight.running.pid(component)
        os.kill(pid, signal.SIGKILL)
        # Over when it is there again.
        until(
            lambda: flight.running.healthy() and flight.running.pid(component) != pid,
            limit_seconds=120,
            what=f"{component} is back",
        )
        yield

    return fault


@contextlib.contextmanager
def _restarted_postgres(flight: Flight) -> Iterator[None]:
    pid = flight.running.pid("postgres")
    os.kill(pid, signal.SIGINT)  # a fast shutdown: all connections are cut
    until(
        lambda: flight.running.healthy() and flight.running.pid("postgres") != pid,
        limit_seconds=120,
        what="postgres is back",
    )
    yield


@contextlib.contextmanager
def _stopped_agent(flight: Flight) -> Iterator[None]:
    pid = flight.running.pid("worker")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(20)
    finally:
        os.kill(pid, signal.SIGCONT)
    yield


def _owners(flight: Flight) -> dict[int, int]:
    """Return how many tasks each scheduler's job has queued, the most first."""
    rows = flight.running.sql(
        "SELECT queued_by_job_id, count(*) FROM task_instance"
        " WHERE dag_id = 'flight' AND run_id = %s AND task_id = 'fly' GROUP BY 1 ORDER BY 2 DESC",
        flight.name,
    )
    return {int(job): int(count) for job, count in rows}


@contextlib.contextmanager
def _full_disk(flight: Flight) -> Iterator[None]:
    filler = flight.running.state.task_logs / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    until(
        lambda: len(flight.lines("end")) >= TASKS // 2,
        limit_seconds=60,
        what="half of the tasks have landed on a full disk",
    )
    filler.unlink()
    yield


@pytest.fixture
def small_log_disk(wild: Running) -> Iterator[None]:
    """A small file system over the folder of task logs."""
    folder = wild.state.task_logs
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def second_scheduler(wild: Running, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """Another scheduler of the same deployment, which has begun its work."""
    command = [str(ORRERY), "airflow", "scheduler", "--skip-serve-logs"]
    log = (wild.project / "second-scheduler.log").open("wb")
    with log:
        started = subprocess.Popen(
            command, cwd=wild.project, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(
            lambda: wild.sql(
                "SELECT 1 FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'"
                " AND latest_heartbeat > now() - interval '15 seconds' OFFSET 1"
            ),
            limit_seconds=90,
            what="two schedulers run",
        )
        yield psutil.Process(started.pid)
    finally:
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(started.pid)
            for process in [*family.children(recursive=True), family]:
                process.kill()
        started.wait(10)


def _endure(
    running: Running,
    rows: list[Row],
    name: str,
    fault: Callable[[Flight], contextlib.AbstractContextManager[None]],
) -> None:
    flight = Flight(running=running, name=name.replace(" ", "-"))
    flight.take_off()
    flight.land("half")
    with fault(flight):
        over = time.monotonic()
        flight.land("go")
        with contextlib.suppress(AssertionError):  # what has not ended shows in the states
            until(flight.has_ended, limit_seconds=2 * STUCK_SECONDS, what="the run has ended")
        seconds = time.monotonic() - over
    row = _row(flight, name, seconds)
    rows.append(row)
    told = f"{HEAD}\n{row.line()}"
    assert row.states == {"success": TASKS}, f"tasks were lost: {dict(row.states)}\n{told}"
    assert not row.twice, f"run twice at one try: {row.twice}"
    assert seconds <= STUCK_SECONDS, f"stuck for {seconds:.0f} s after the fault was over\n{told}"
    assert not row.strays, f"processes were left: {row.strays}"
    assert not row.groups, f"control groups were left: {residue.groups(running)[:5]}"
    assert not row.folders, f"temporary folders were left: {residue.scratch(running)[:5]}"


def _row(flight: Flight, name: str, seconds: float) -> Row:
    running = flight.running
    with contextlib.suppress(AssertionError):
        until(lambda: not _left(flight), limit_seconds=CLEAN_SECONDS, what="all is cleaned up")
    starts = Counter((task, try_number) for task, _, try_number in flight.lines("start"))
    return Row(
        fault=name,
        states=flight.states(),
        retried=sum(starts.values()) - TASKS,
        twice=tuple(f"{task} at try {number}" for (task, number), count in starts.items() if count > 1),
        seconds=seconds,
        strays=tuple(_strays(flight)),
        groups=len(residue.groups(running)),
        folders=len(residue.scratch(running)),
        notes=tuple(flight.notes),
    )


def _strays(flight: Flight) -> list[str]:
    pids = [pid for word in ("start", "left") for _, pid, _ in flight.lines(word)]
    living = [f"{pid} of a task" for pid in residue.alive(pids)]
    return [*living, *residue.strays(flight.running)]


def _left(flight: Flight) -> bool:
    return bool(_strays(flight) or residue.groups(flight.running) or residue.scratch(flight.running))


SIMPLE = {
    "kill -9 of children": _killed_children,
    "kill -9 of the zygotes": _killed_zygotes,
    "kill -9 of the agent": _killed("worker"),
    "kill -9 of the scheduler": _killed("scheduler"),
    "kill -9 of the API server": _killed("api-server"),
    "restart of PostgreSQL": _restarted_postgres,
    "agent stopped for 20 s": _stopped_agent,
}


@pytest.mark.parametrize("name", SIMPLE)
def test_a_fault_loses_no_task(wild: Running, rows: list[Row], name: str) -> None:
    _endure(wild, rows, name, SIMPLE[name])


def test_the_death_of_one_of_two_schedulers_loses_no_task(
    wild: Running, rows: list[Row], second_scheduler: psutil.Process
) -> None:
    ((second_job,),) = wild.sql("SELECT max(id) FROM job WHERE job_type = 'SchedulerJob'")

    @contextlib.contextmanager
    def fault(flight: Flight) -> Iterator[None]:
        # Of the two the one that has queued the most tasks dies.
        owners = _owners(flight)
        job, count = next(iter(owners.items()))
        if job == second_job:
            second_scheduler.kill()
        else:
            os.kill(wild.pid("scheduler"), signal.SIGKILL)
        flight.notes.append(f"it had queued {count} of {sum(owners.values())}")
        yield
        # If it lives, it is no component of the deployment: it would be taken for something left behind.
        with contextlib.suppress(psutil.Error):
            second_scheduler.kill()

    _endure(wild, rows, "kill -9 of one of two schedulers", fault)


@pytest.mark.usefixtures("small_log_disk")
def test_a_full_disk_under_the_logs_loses_no_task(wild: Running, rows: list[Row]) -> None:
    _endure(wild, rows, "disk full under the logs", _full_disk)


def test_what_is_run_twice_or_left_behind_is_seen(tmp_path: Path) -> None:
    # Given a task that began its first try two times, and a process of it that lives
    class Still:
        traces = tmp_path

    flight = Flight(running=Still(), name="x")  # type: ignore[arg-type]
    flight.folder.mkdir()
    (flight.folder / "7.txt").write_text(f"start {os.getpid()} 1 0.0\nstart {os.getpid()} 1 0.1\n")
    # Then both are noticed
    assert [try_number for _, _, try_number in flight.lines("start")] == [1, 1]
    assert residue.alive(pid for _, pid, _ in flight.lines("start"))
    assert not residue.alive([2**22 + 1])
