"""How long an executor's slot stays taken after the child of a task has exited.

The exit is seen from outside, through a pidfd on the pid that Airflow records. The slot is free when its
owner on the machine of the task says so, before the scheduler hears of it. LocalExecutor's supervisor logs
`Workload finished` with the task instance's id as its last act, then its process takes the next task.
Orrery's agent stamps the end of a task when it gives the room back: once no process is left in its control
group.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.lab.errors import BenchError
from benchmarks.lab.figures import percentile
from benchmarks.lab.measures import trigger, wait_for_dags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.lab.measures import Figures
    from benchmarks.lab.side import Running

_DAG = "bench_exit"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d+")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The longest that a stock supervisor is known to sleep, and some more.
_LATEST_SECONDS = 8


def held(side: Running) -> Figures:
    """100 tasks of half a second, several at a time."""
    wait_for_dags(side, [_DAG])
    exits = _exits(side, trigger(side, _DAG))
    time.sleep(_LATEST_SECONDS)
    freed = _freed(side)
    waits = [(freed[task] - exits[task]) * 1000 for task in exits.keys() & freed.keys()]
    if not waits:
        raise BenchError(f"{len(exits)} exits seen, but nothing in {side.logs} tells when slots were freed")
    return {
        "slot held after exit, p50 ms": percentile(waits, 50),
        "slot held after exit, p99 ms": percentile(waits, 99),
        "slot held after exit, tasks seen": len(waits),
    }


def _freed(side: Running) -> dict[str, float]:
    """Return when the slot of each task was given back, by the task instance's id."""
    lines = (line for log in side.logs.glob("*.log*") for line in log.open(errors="replace"))
    freed = finished(lines)
    if side.database.rows("SELECT to_regclass('orrery_task_usage')")[0][0]:
        freed |= dict(
            side.database.rows(
                "SELECT ti_id::text, extract(epoch FROM ended_at)::float8 FROM orrery_task_usage"
                " WHERE dag_id = %s AND ended_at IS NOT NULL",
                _DAG,
            )
        )
    return freed


def _exits(side: Running, run_id: str) -> dict[str, float]:
    """Watch the tasks of a run until it has ended; return when the child of each exited."""
    exits: dict[str, float] = {}
    seen: set[str] = set()
    watched: dict[int, str] = {}
    poll = select.poll()
    deadline = time.monotonic() + 180
    ended = False
    while (not ended or watched) and time.monotonic() < deadline:
        for task, pid, state in side.database.rows(
            "SELECT id::text, pid, state FROM task_instance"
            " WHERE dag_id = %s AND run_id = %s AND pid IS NOT NULL",
            _DAG,
            run_id,
        ):
            if task not in seen and state == "running":
                seen.add(task)
                with contextlib.suppress(ProcessLookupError):
                    descriptor = os.pidfd_open(pid)
                    watched[descriptor] = task
                    poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(20):
            exits[watched.pop(descriptor)] = time.time()
            poll.unregister(descriptor)
            os.close(descriptor)
        rows = side.database.rows("SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", _DAG, run_id)
        ended = bool(rows) and rows[0][0] in ("success", "failed")
    for descriptor in watched:
        os.close(descriptor)
    return exits


def finished(lines: Iterable[str]) -> dict[str, float]:
    """Return when supervisors said that they are done, by the task instance's id: seconds since 1970."""
    found = {}
    for line in lines:
        if "Workload finished" in line and (at := _TIME.search(line)) and (task := _ID.search(line)):
            moment = datetime.fromisoformat(at[0].replace(",", ".")).replace(tzinfo=UTC)
            found[task[0]] = moment.timestamp()
    return found
