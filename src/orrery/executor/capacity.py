"""Capacity: how much of a machine tasks may use, and how many tasks that makes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from orrery.errors import InputError
from orrery.executor import quantity
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orrery.config.capacity import Machine
    from orrery.executor.node import Node

#: Importing and starting is CPU work: more at a time only makes each of them slower.
STARTS_PER_CORE = 2


def totals(machine: Machine, *, gpus: Sequence[str] = (), disk_bytes: int = 0) -> Resources:
    """Return all that a machine has; `gpus` are the devices' names, `disk_bytes` what is free for tasks."""
    return Resources(
        cpu_millicores=int(machine.cores * 1000),
        memory_bytes=machine.memory_bytes,
        gpus=len(gpus),
        disk_bytes=disk_bytes,
    )


def platform_reserve(total: Resources) -> Resources:
    """Return what is kept from tasks, for the platform's own components on the same machine.

    No CPU: it is shared by weight, and what the platform leaves idle should not stay idle. Memory is not
    shared that way: a quarter of a small machine, 1 GiB and a fiftieth of a large one. A tenth of the
    disk, at most 10 GiB, so that logs and the database can still be written.
    """
    memory = total.memory_bytes
    return Resources(
        memory_bytes=min(memory // 4, quantity.GIB + memory // 50),
        disk_bytes=min(total.disk_bytes // 10, 10 * quantity.GIB),
    )


def allocatable(total: Resources, reserve: Resources | None = None) -> Resources:
    """Return what tasks may use: the total minus the reserve, by default the platform's.

    Raises:
        InputError: the reserve leaves no CPU or no memory.
    """
    kept = platform_reserve(total) if reserve is None else reserve
    left = total.without(kept)
    if not left.cpu_millicores or not left.memory_bytes:
        raise InputError(
            f"A reserve of {kept} leaves nothing for tasks: the machine has {total}.",
            hint="Reserve less, or use a larger machine.",
        )
    return left


def starts_at_once(cores: float, per_core: float = STARTS_PER_CORE) -> int:
    """Return how many tasks a node should be starting at the same time, at least two."""
    return max(2, math.ceil(cores * per_core))


def parallelism(nodes: Iterable[Node], default: Resources) -> int:
    """Return how many tasks with the default request all nodes that take tasks hold together.

    Zero means that no node takes tasks. (Never pass a zero on: to Airflow it means 'no limit'.)
    """
    return sum(default.times_in(node.allocatable) for node in nodes if node.is_ready)
