"""One round of placement: `place()` with 10,000 pending tasks and 50 nodes, in plain Python.

Pure computation: no stock Airflow to stand beside it. `backlog kept` is how the scheduler uses it: the
lines stand already, only the round is paid. `from a list` builds them anew in each round. The kinds are
how many different requests there are: people write few; 10,000 is the worst there could be.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orrery.executor.backlog import Backlog, PendingTask
from orrery.executor.node import Node, RunningTask
from orrery.executor.packing import place
from orrery.executor.quantity import GIB, MIB
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.executor.ageing import Ageing
    from orrery.executor.placement import Placements

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def nodes(count: int) -> list[Node]:
    sizes = [(4, 16), (8, 32), (16, 64)]
    return [
        Node(
            name=f"node-{n:03}",
            allocatable=Resources(
                cpu_millicores=sizes[n % 3][0] * 1000,
                memory_bytes=sizes[n % 3][1] * GIB,
                gpus=int(n % 10 == 0),
            ),
            queues=frozenset({"default", f"queue-{n % 2}"}),
            max_starting=sizes[n % 3][0] * 2,
            warm=frozenset({f"bundle@{n % 4}"}),
        )
        for n in range(count)
    ]


def pending(count: int, kinds: int, chance: random.Random) -> list[PendingTask]:
    requests = [
        Resources(
            cpu_millicores=chance.choice((100, 200, 500, 1000, 2000)) + (kind if kinds > 1000 else 0),
            memory_bytes=chance.randint(2, 32) * 128 * MIB + (kind * 4096 if kinds > 1000 else 0),
        )
        for kind in range(kinds)
    ]
    return [
        PendingTask(
            id=f"task-{n:05}",
            resources=requests[n % kinds],
            queue=chance.choice(("default", "queue-0", "queue-1")),
            priority=chance.choice((1, 2, 3)),
            queued_at=NOW - timedelta(seconds=chance.randint(0, 300)),
            bundle=f"bundle@{chance.randint(0, 4)}",
        )
        for n in range(count)
    ]


def milliseconds(work: Callable[[], object], rounds: int) -> str:
    work()
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append((time.process_time() - begun) * 1000)
    return f"{statistics.median(taken):8.2f} [{min(taken):.2f}-{max(taken):.2f}]"


def full(fleet: list[Node], first: Placements) -> list[RunningTask]:
    """Return what runs once that round's tasks have started and all nodes are full."""
    running = [RunningTask(id=p.task.id, node=p.node, resources=p.task.resources) for p in first.placed]
    return running + [
        RunningTask(
            id=f"rest-{node.name}",
            node=node.name,
            resources=Resources(memory_bytes=node.allocatable.memory_bytes),
        )
        for node in fleet
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{arguments.tasks} pending, {arguments.nodes} nodes; CPU ms, median [min-max] of {arguments.rounds}"
    )
    fleet = nodes(arguments.nodes)
    columns = (
        "kinds",
        "lines",
        "placed",
        "empty: from a list",
        "empty: backlog kept",
        "full: backlog kept",
        "all reasons",
    )
    print("".join(f"{column:>24}" for column in columns))
    for kinds in (1, 10, 100, 10_000):
        tasks = pending(arguments.tasks, kinds, random.Random(kinds))  # noqa: S311
        backlog = Backlog(tasks)
        first = place(backlog, fleet, now=NOW)
        running = full(fleet, first)
        rest = Backlog(task for group in first.waiting for task in group.tasks)

        def stuck(
            rest: Backlog = rest, running: list[RunningTask] = running, ageing: Ageing = first.ageing
        ) -> Placements:
            return place(rest, fleet, running, now=NOW, ageing=ageing)

        cells = (
            kinds,
            len(list(backlog.lines)),
            len(first.placed),
            milliseconds(lambda tasks=tasks: place(tasks, fleet, now=NOW), arguments.rounds),  # type: ignore[misc]
            milliseconds(lambda backlog=backlog: place(backlog, fleet, now=NOW), arguments.rounds),  # type: ignore[misc]
            milliseconds(stuck, arguments.rounds),
            milliseconds(lambda first=first: first.reasons(), arguments.rounds),  # type: ignore[misc]
        )
        print("".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
