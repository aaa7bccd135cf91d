"""200 DAGs of 10 tasks, all due in the same minute."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks.lab.errors import BenchError
from benchmarks.lab.measures import wait_for_dags
from benchmarks.lab.side import DAG_FILES

if TYPE_CHECKING:
    from benchmarks.lab.measures import Figures
    from benchmarks.lab.side import Running

_FILE = "bench_storm.py"
_DAGS = 200
_TASKS = 10
#: What the dag-processor may take to read the file and to store 200 DAGs.
_NOTICE = timedelta(seconds=75)


#: What `benchmarks/tasks.py` gives a side at most.
LIMIT_SECONDS = 900.0
#: After a storm that was broken off: what runs may end.
_CALM_SECONDS = 120


def storm(side: Running, *, limit_seconds: float = LIMIT_SECONDS) -> Figures:
    """From the minute in which all are due to the end of the last run.

    After `limit_seconds` it is broken off: then there is no wall time, but how long it went on, and the rate
    until then.
    """
    if side.database.rows(r"SELECT FROM dag_run WHERE dag_id LIKE 'bench\_storm\_%%' LIMIT 1"):
        raise BenchError(
            f"{side.name} has had its storm: its runs would be counted again; take a fresh deployment"
        )
    due = due_minute(datetime.now(UTC) + _NOTICE)
    text = (DAG_FILES / _FILE).read_text()
    (side.dags / _FILE).write_text(
        text.replace("DUE: str | None = None", f'DUE: str | None = "{due.isoformat()}"')
    )
    try:
        wait_for_dags(side, [f"bench_storm_{n:03}" for n in range(_DAGS)])
        left = (due - datetime.now(UTC)).total_seconds()
        if left < 0:
            raise BenchError(f"the DAGs were stored {-left:.0f} s after they were due")
        time.sleep(left)
        before = side.usage()
        ended = _wait_ended(side, due.timestamp() + limit_seconds)
        used = side.usage()
        tasks = side.database.times(r"bench\_storm\_%", "%")
        if ended is None:
            _break_off(side)
    finally:
        (side.dags / _FILE).write_text(text)
    done = [task for task in tasks if task.state == "success"]
    wall = limit_seconds if ended is None else ended - due.timestamp()
    cpu = used.cpu_seconds - before.cpu_seconds
    rates = {"storm, tasks/s": len(done) / wall, "storm, CPU ms per task": cpu / max(len(done), 1) * 1000}
    if ended is None:
        print(
            f"the storm of {side.name} was broken off: {len(done)} of {_DAGS * _TASKS} tasks in {wall:.0f} s"
        )
        return {"storm, broken off after s": wall, **rates}
    return {
        "storm, wall s": wall,
        "storm, first start s": min(task.start for task in tasks) - due.timestamp(),
        "storm, CPU s": cpu,
        "storm, PSS MB after": used.pss_mb,
        **rates,
    }


def due_minute(moment: datetime) -> datetime:
    """Return the first full minute that is not before a moment."""
    minute = moment.replace(second=0, microsecond=0)
    return minute if minute == moment else minute + timedelta(minutes=1)


def _wait_ended(side: Running, deadline: float) -> float | None:
    """Return when the last run had succeeded, in seconds since 1970; None: not by the deadline."""
    while time.time() < deadline:
        rows = side.database.rows(
            r"SELECT state, count(*) FROM dag_run WHERE dag_id LIKE 'bench\_storm\_%%' GROUP BY state"
        )
        states = {str(state): int(count) for state, count in rows}
        if states.get("failed"):
            raise BenchError(f"{states['failed']} of {_DAGS} runs failed")
        if states.get("success", 0) >= _DAGS:
            return time.time()
        time.sleep(0.1)
    return None


def _break_off(side: Running) -> None:
    """Pause the DAGs and let what runs end, so that the next measure begins in quiet."""
    side.database.execute(r"UPDATE dag SET is_paused = true WHERE dag_id LIKE 'bench\_storm\_%%'")
    deadline = time.monotonic() + _CALM_SECONDS
    while time.monotonic() < deadline:
        [[active]] = side.database.rows(
            r"SELECT count(*) FROM task_instance WHERE dag_id LIKE 'bench\_storm\_%%'"
            " AND state IN ('queued', 'running')"
        )
        if not active:
            return
        time.sleep(0.5)
