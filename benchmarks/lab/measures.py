"""The measures: each drives a running stack from outside and returns named figures.

A run is triggered through the REST API; its end is seen by SQL. Times of single tasks are those that
Airflow keeps of them.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.lab.errors import BenchError
from benchmarks.lab.figures import percentile
from benchmarks.lab.side import DAG_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.lab.database import TaskTimes
    from benchmarks.lab.side import Running

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A DAG run that has succeeded."""

    wall: float
    cpu: float
    pss_mb: float
    tasks: list[TaskTimes]


def run(side: Running, dag_id: str, *, timeout_seconds: float = 600) -> Run:
    """Trigger a DAG and wait for its end; every task must have succeeded at its first try."""
    before = side.usage().cpu_seconds
    begun = time.monotonic()
    run_id = trigger(side, dag_id)
    state = side.database.wait_run(dag_id, run_id, timeout_seconds=timeout_seconds)
    wall = time.monotonic() - begun
    used = side.usage()
    tasks = side.database.times(dag_id, run_id)
    bad = [task for task in tasks if task.state != "success" or task.try_number != 1]
    if state != "success" or bad:
        told = "; ".join(f"{t.task_id}[{t.map_index}] {t.state}, try {t.try_number}" for t in bad[:3])
        raise BenchError(f"{dag_id} ended as {state}, {len(bad)} tasks not at once: {told}")
    return Run(wall=wall, cpu=used.cpu_seconds - before, pss_mb=used.pss_mb, tasks=tasks)


def trigger(side: Running, dag_id: str, conf: dict[str, Any] | None = None) -> str:
    """Start a run through the REST API; return its id."""
    run_id = f"bench-{uuid.uuid4()}"
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
    side.api.post(f"/dags/{dag_id}/dagRuns", body)
    return run_id


def wait_for_dags(side: Running, dag_ids: Iterable[str], *, timeout_seconds: float = 120) -> None:
    """Wait until the dag-processor has brought these DAGs into the database."""
    wanted = set(dag_ids)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        found = {str(row[0]) for row in side.database.rows("SELECT dag_id FROM serialized_dag")}
        if wanted <= found:
            side.api.get("/dags", limit=1)  # signs in, outside of every measured time
            return
        time.sleep(0.5)
    raise BenchError(f"DAGs have not appeared: {', '.join(sorted(wanted)[:5])}")


def warm_up(side: Running) -> Figures:
    """Let every worker process have its first task, which is the slow one."""
    wait_for_dags(side, ["bench_chain", "bench_fanout_64"])
    return {"warm-up of 64 no-ops, wall s": run(side, "bench_fanout_64").wall}


def chain(side: Running) -> Figures:
    """40 tasks of fib(10), one after the other."""
    done = run(side, "bench_chain")
    started = [(after.start - before.end) * 1000 for before, after in pairs(done.tasks)]
    queued = [(task.start - task.queued) * 1000 for task in done.tasks]
    return {
        "chain, wall s": done.wall,
        "chain, CPU s": done.cpu,
        "chain, PSS MB after": done.pss_mb,
        "queued to running, p50 ms": percentile(queued, 50),
        "queued to running, p95 ms": percentile(queued, 95),
        "end to next start, p50 ms": percentile(started, 50),
        "end to next start, p95 ms": percentile(started, 95),
    }


def pairs(tasks: Sequence[TaskTimes]) -> list[tuple[TaskTimes, TaskTimes]]:
    """Return each task of a chain with the one that waits for it: their ids follow the order."""
    ordered = sorted(tasks, key=lambda task: task.task_id)
    return list(itertools.pairwise(ordered))


def fanout(side: Running) -> Figures:
    """1000 mapped tasks that do nothing."""
    done = run(side, "bench_fanout_1000", timeout_seconds=900)
    return {
        "fan-out, tasks/s": len(done.tasks) / done.wall,
        "fan-out, wall s": done.wall,
        "fan-out, CPU s": done.cpu,
        "fan-out, CPU ms per task": done.cpu / len(done.tasks) * 1000,
        "fan-out, PSS MB after": done.pss_mb,
    }


def heavy(side: Running) -> Figures:
    """10 tasks of fib(33), one after the other, beside the same computation in one bare process."""
    compute = pure_compute(10, 33)
    done = run(side, "bench_heavy")
    return {
        "heavy chain, wall s": done.wall,
        "heavy chain, pure compute s": compute,
        "heavy chain, wall over compute s": done.wall - compute,
        "heavy chain, CPU s": done.cpu,
    }


def pure_compute(times: int, n: int) -> float:
    """Return the wall seconds that the computation alone takes, in a process of this Python."""
    code = (
        "import time; from bench_fib import fib; begun = time.perf_counter()\n"
        f"for _ in range({times}): fib({n})\n"
        "print(time.perf_counter() - begun)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(DAG_FILES)},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ended.stdout)
