"""Many minutes at full rate: what grows, and which tasks lag behind."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import psutil
from benchmarks.lab import machine
from benchmarks.lab.measures import trigger, wait_for_dags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.lab.measures import Figures
    from benchmarks.lab.side import Running

_DAG = "bench_fanout_300"
_SAMPLE_SECONDS = 20
_IN_FLIGHT = 2


def sustained(side: Running, *, minutes: float) -> Figures:
    """Keep two fan-outs of 300 no-ops in flight."""
    wait_for_dags(side, [_DAG])
    before = side.usage().cpu_seconds
    standing = machine.marked(side.mark)
    begun = time.monotonic()
    runs: list[str] = []
    sizes: list[float] = []
    heaps: list[float] = []
    sampled = -float("inf")
    while time.monotonic() - begun < minutes * 60:
        if time.monotonic() - sampled > _SAMPLE_SECONDS:
            sampled = time.monotonic()
            sizes.append(side.usage().pss_mb)
            heaps.append(machine.anonymous_bytes(standing))
        runs += [trigger(side, _DAG) for _ in range(_IN_FLIGHT - _unfinished(side))]
        time.sleep(0.2)
    for run_id in runs[-_IN_FLIGHT:]:
        side.database.wait_run(_DAG, run_id, timeout_seconds=300)
    seconds = time.monotonic() - begun
    cpu = side.usage().cpu_seconds - before
    tasks = [task for run_id in runs for task in side.database.times(_DAG, run_id)]
    return {
        "sustained, minutes": seconds / 60,
        "sustained, tasks/s": len(tasks) / seconds,
        "sustained, CPU ms per task": cpu / len(tasks) * 1000,
        "sustained, growth of PSS %": growth(sizes) * 100,
        "sustained, growth of heaps %": growth(heaps) * 100,
        "sustained, tasks over 1 s": sum(task.end - task.start > 1 for task in tasks),
        "sustained, tasks not at once": sum(t.state != "success" or t.try_number != 1 for t in tasks),
        "sustained, zombies at the end": _zombies(side),
    }


def growth(sizes: Sequence[float]) -> float:
    """Return how much larger the last quarter of the samples is than the second: 0.1 is a tenth.

    The first quarter is left out: caches and PostgreSQL's buffers fill up in it.
    """
    quarter = len(sizes) // 4
    if quarter == 0:
        return float("nan")
    return statistics.median(sizes[-quarter:]) / statistics.median(sizes[quarter : 2 * quarter]) - 1


def _unfinished(side: Running) -> int:
    rows = side.database.rows(
        "SELECT count(*) FROM dag_run WHERE dag_id = %s AND state IN ('queued', 'running')", _DAG
    )
    return int(rows[0][0])


def _zombies(side: Running) -> int:
    found = 0
    for process in machine.marked(side.mark):
        try:
            found += process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
    return found
