"""The fleet: the rooms of all nodes in one round, by the queues that they serve."""

from __future__ import annotations

from math import inf
from operator import le
from typing import TYPE_CHECKING

from orrery.executor.room import Room, rooms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orrery.executor.backlog import Line
    from orrery.executor.node import Node, RunningTask
    from orrery.executor.room import Amounts


class QueueRooms:
    """The rooms of the nodes that serve one queue, and what has found none among them."""

    __slots__ = ("_sizes", "_stuck", "ready", "serving")

    def __init__(self, serving: Iterable[Room]) -> None:
        self.serving = tuple(serving)
        #: Those that take new tasks.
        self.ready = [room for room in self.serving if room.node.is_ready]
        # Nodes are often alike: each size is compared once.
        self._sizes = {room.node.allocatable.amounts for room in self.serving}
        #: The least amounts for which no room was found: whoever asks as much need not search.
        self._stuck: list[Amounts] = []

    def could_hold(self, line: Line) -> bool:
        """Tell whether one of the nodes, were it empty, would have room."""
        return any(all(map(le, line.amounts, size)) for size in self._sizes)

    def is_stuck(self, line: Line) -> bool:
        """Tell whether as much, or less, has found no room before."""
        return any(all(map(le, amounts, line.amounts)) for amounts in self._stuck)

    def note_stuck(self, line: Line) -> None:
        """Remember that there is no room for that much; for nothing at all, if no node may start a task."""
        least = line.amounts if any(room.may_start for room in self.ready) else (0, 0, 0, 0)
        self._stuck = [amounts for amounts in self._stuck if not all(map(le, least, amounts))]
        self._stuck.append(least)


class Fleet:
    """All rooms of a round."""

    def __init__(self, nodes: Iterable[Node], running: Iterable[RunningTask]) -> None:
        everything = rooms(nodes, running)
        by_queue: dict[str, list[Room]] = {}
        for room in everything:
            for queue in room.node.queues:
                by_queue.setdefault(queue, []).append(room)
        self._queues = {queue: QueueRooms(serving) for queue, serving in by_queue.items()}
        sums = (
            sum(amounts) for amounts in zip(*(r.node.allocatable.amounts for r in everything), strict=True)
        )
        #: What all nodes have together; of a resource that none has, every share is zero.
        self.total = [float(amount) or inf for amount in sums]

    def queue(self, name: str) -> QueueRooms | None:
        """Return the rooms of that queue; None if no node serves it."""
        return self._queues.get(name)
