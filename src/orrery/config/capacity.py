"""How many tasks a machine takes at a time, and what a machine has.

`tasks_per_worker` and `parallelism` are pure; `machine` reads this one: affinity, cgroup limits (v2 and
v1) and memory, whichever is the smallest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Tasks mostly wait for other systems, so a core takes several.
TASKS_PER_CORE = 5
#: What a task may be expected to need, in bytes: a Python with Airflow and some data.
TASK_MEMORY_BYTES = 400 * 1024**2
#: One task that waits for another must not block a whole deployment.
FEWEST_TASKS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What this process may use of its machine: `cores` may be a fraction under a cgroup."""

    cores: float
    memory_bytes: int


def tasks_per_worker(cores: float, memory_bytes: int) -> int:
    """Return how many tasks a worker of that size runs at a time."""
    by_memory = memory_bytes // TASK_MEMORY_BYTES
    return max(FEWEST_TASKS, min(int(cores * TASKS_PER_CORE), by_memory))


def parallelism(queues: Iterable[tuple[int, int]]) -> int:
    """Return the sum over all queues of running workers times tasks per worker."""
    return sum(workers * tasks for workers, tasks in queues)


def machine(root: Path = Path("/")) -> Machine:
    """Measure this machine; `root` is where /proc and /sys are looked for."""
    cores = [float(_affinity())]
    memory = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _cgroups(root):
        cores += _cpu_limit(folder)
        memory += _memory_limit(folder)
    return Machine(cores=min(cores), memory_bytes=min(memory))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroups(root: Path) -> Iterable[Path]:
    """Yield the folders of our cgroups and of those above them: each may set a limit."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        names = (
            [mount] if not controllers else [mount / name for name in (controllers, *controllers.split(","))]
        )
        for base in dict.fromkeys(names):
            group = base / path.lstrip("/")
            # In a container the path may be the host's, while the mount shows only our part of it.
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base))


def _cpu_limit(folder: Path) -> list[float]:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(quota) and int(period):
        return [int(quota) / int(period)]
    return []  # "max", "-1" or no such controller


def _memory_limit(folder: Path) -> list[int]:
    texts = (_text(folder / "memory.max"), _text(folder / "memory.limit_in_bytes"))
    return [int(text) for text in texts if text.isdigit() and int(text)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""
