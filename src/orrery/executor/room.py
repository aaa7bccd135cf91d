"""Room: what is free on one node while a round of placement goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orrery.executor.node import Node, RunningTask
    from orrery.executor.resources import Asked, Resources


#: One amount for each field of `Resources`, in their order.
Amounts = tuple[int, int, int, int]


class Room:
    """One node's account of a round. Numbers, not values: it is asked a million times a minute."""

    __slots__ = ("free", "kept_for", "node", "open", "starting")

    def __init__(self, node: Node) -> None:
        self.node = node
        #: Below zero on a node that has shrunk under its tasks.
        self.free = list(node.allocatable.amounts)
        #: What is free and kept for nobody.
        self.open = list(self.free)
        self.starting = 0
        #: Id of the task that the node is kept for.
        self.kept_for: str | None = None

    def occupy(self, task: RunningTask) -> None:
        """Count a task that is there already."""
        self.take(task.resources.asked, starting=task.is_starting)

    def take(self, asked: Asked, *, starting: bool = True) -> None:
        """Count a task that is placed."""
        for index, amount in asked:
            self.free[index] -= amount
            self.open[index] -= amount
        self.starting += starting

    def keep(self, asked: Asked, task_id: str) -> None:
        """Keep room for a task: whoever is less urgent gets what lies beyond it."""
        for index, amount in asked:
            self.open[index] -= amount
        self.kept_for = task_id

    @property
    def may_start(self) -> bool:
        """Whether one more task may start now."""
        return self.starting < self.node.max_starting

    def has_open(self, asked: Asked) -> bool:
        """Tell whether there is room that is kept for nobody."""
        for index, amount in asked:  # noqa: SIM110 (three times as fast as all())
            if amount > self.open[index]:
                return False
        return True

    def has_free(self, asked: Asked) -> bool:
        """Tell whether there is room, kept or not."""
        return all(amount <= self.free[index] for index, amount in asked)

    def could_hold(self, resources: Resources) -> bool:
        """Tell whether there would be room if nothing else ran."""
        return resources.fits(self.node.allocatable)

    def shortfall(self, asked: Asked) -> float:
        """Return how much must end before there is room: the largest lacking share of the node."""
        total = self.node.allocatable.amounts
        return max(
            (max(0, amount - self.free[index]) / max(1, total[index]) for index, amount in asked), default=0.0
        )


def rooms(nodes: Iterable[Node], running: Iterable[RunningTask]) -> list[Room]:
    """Return the rooms of all nodes, in the order of their names, less what runs there.

    A task on a node that is not among them occupies nothing: that node is gone.

    Raises:
        ValueError: two nodes have one name.
    """
    by_name: dict[str, Room] = {}
    for node in sorted(nodes, key=lambda node: node.name):
        if node.name in by_name:
            raise ValueError(f"two nodes are named {node.name!r}")
        by_name[node.name] = Room(node)
    for task in running:
        if task.node in by_name:
            by_name[task.node].occupy(task)
    return list(by_name.values())
