"""A turn: one line of alike tasks in a round, and the rooms that are still open to it."""

from __future__ import annotations

from operator import truediv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orrery.executor.backlog import Line, PendingTask
    from orrery.executor.fleet import QueueRooms
    from orrery.executor.room import Room


class Turn:
    """A line in this round: whose turn it is in it, and where they may go."""

    __slots__ = ("at", "line", "queue", "rooms", "scarcest", "share")

    def __init__(self, line: Line, queue: QueueRooms, total: list[float]) -> None:
        self.line = line
        self.queue = queue
        self.rooms = queue.ready
        shares = list(map(truediv, line.amounts, total))
        self.share = max(shares)
        #: Index of the resource of which it asks the largest share.
        self.scarcest = shares.index(self.share)
        self.at = 0

    @property
    def task(self) -> PendingTask:
        """Whose turn it is."""
        return self.line.tasks[self.at]

    @property
    def is_over(self) -> bool:
        """Whether all of the line are placed."""
        return self.at >= len(self.line.tasks)

    def best(self) -> Room | None:
        """Return where its task goes: no GPUs idled, then warm, then least left of what is asked most."""
        if self.queue.is_stuck(self.line):
            return None
        # Where there was no room a moment ago there is none now.
        self.rooms = [room for room in self.rooms if room.may_start and room.has_open(self.line.asked)]
        if not self.rooms:
            self.queue.note_stuck(self.line)
            return None
        bundle = self.task.bundle
        needs_gpu = self.line.resources.gpus > 0
        return min(
            self.rooms,
            key=lambda room: (
                not needs_gpu and room.node.allocatable.gpus > 0,
                bundle not in room.node.warm,
                room.open[self.scarcest],
                room.node.name,
            ),
        )
