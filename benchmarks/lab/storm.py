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


def storm(side: Running) -> Figures:
    """From the minute in which all are due to the end of the last run."""
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
        ended = _wait_ended(side, due)
        used = side.usage()
    finally:
        (side.dags / _FILE).write_text(text)
    wall = ended - due.timestamp()
    starts = [task.start - due.timestamp() for task in side.database.times(r"bench\_storm\_%", "%")]
    return {
        "storm, wall s": wall,
        "storm, first start s": min(starts),
        "storm, tasks/s": len(starts) / wall,
        "storm, CPU s": used.cpu_seconds - before.cpu_seconds,
        "storm, PSS MB after": used.pss_mb,
    }


def due_minute(moment: datetime) -> datetime:
    """Return the first full minute that is not before a moment."""
    minute = moment.replace(second=0, microsecond=0)
    return minute if minute == moment else minute + timedelta(minutes=1)


def _wait_ended(side: Running, due: datetime) -> float:
    deadline = due.timestamp() + 1800
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
    raise BenchError(f"not over after 1800 s: {states}")
