"""What a stack costs while nothing, or next to nothing, happens: memory and CPU."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.lab.errors import BenchError
from benchmarks.lab.measures import trigger, wait_for_dags

if TYPE_CHECKING:
    from benchmarks.lab.measures import Figures
    from benchmarks.lab.side import Running

_SETTLE_SECONDS = 15
_SLEEPERS = 30


def idle(side: Running, *, seconds: float = 30) -> Figures:
    """Memory and CPU of the whole stack, its PostgreSQL included, when no DAG runs."""
    time.sleep(_SETTLE_SECONDS)
    before = side.usage()
    time.sleep(seconds)
    after = side.usage()
    return {
        "at rest, PSS MB": after.pss_mb,
        "at rest, processes": after.processes,
        "idle, percent of a core": (after.cpu_seconds - before.cpu_seconds) / seconds * 100,
    }


def sleeping(side: Running) -> Figures:
    """Memory that a task needs which does nothing but wait, with all that supervises it."""
    wait_for_dags(side, ["bench_sleep"])
    before = side.usage()
    with tempfile.TemporaryDirectory(prefix="orrery-bench-flag-") as folder:
        flag = Path(folder) / "wake"
        # The tasks may run as another user.
        Path(folder).chmod(0o755)
        run_id = trigger(side, "bench_sleep", {"flag": str(flag)})
        try:
            count = _wait_asleep(side, run_id)
            during = side.usage()
        finally:
            flag.touch()
        side.database.wait_run("bench_sleep", run_id, timeout_seconds=120)
    return {
        "sleeping task, PSS MB": (during.pss_mb - before.pss_mb) / count,
        "sleeping task, processes": (during.processes - before.processes) / count,
        "sleeping tasks": count,
    }


def _wait_asleep(side: Running, run_id: str) -> int:
    """Wait until all sleep, or as many as the contender lets run; return how many."""
    running, since = 0, time.monotonic()
    while running < _SLEEPERS and time.monotonic() - since < 20:
        rows = side.database.rows(
            "SELECT count(*) FROM task_instance"
            " WHERE dag_id = 'bench_sleep' AND run_id = %s AND state = 'running'",
            run_id,
        )
        if int(rows[0][0]) != running:
            running, since = int(rows[0][0]), time.monotonic()
        time.sleep(0.2)
    if running == 0:
        raise BenchError("no sleeping task has started")
    time.sleep(3)
    return running
