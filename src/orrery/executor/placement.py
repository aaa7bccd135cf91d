"""What a round of placement decides: who goes where, who waits and why, who can never run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orrery.executor import reasons

if TYPE_CHECKING:
    from orrery.executor.ageing import Ageing
    from orrery.executor.backlog import PendingTask
    from orrery.executor.resources import Resources
    from orrery.executor.room import Room


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A task and the node it is to start on."""

    task: PendingTask
    node: str
    #: Whether the node has the task's bundle version ready.
    is_warm: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Alike:
    """Tasks of one queue and priority that ask the same, in the order of their arrival."""

    tasks: tuple[PendingTask, ...]

    @property
    def resources(self) -> Resources:
        """What each of them asks for."""
        return self.tasks[0].resources

    @property
    def queue(self) -> str:
        """The queue they are in."""
        return self.tasks[0].queue


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting(_Alike):
    """Tasks for which there is no room now."""

    #: The nodes that serve the queue, as the round left them. Words are made of them when asked for.
    rooms: tuple[Room, ...] = field(compare=False, repr=False)

    @property
    def reason(self) -> str:
        """Why the first of them waits; the others wait behind it."""
        return reasons.waits(self.resources, self.tasks[0].id, self.rooms)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoNode(_Alike):
    """Tasks in a queue that no node serves: they wait until one does."""

    @property
    def reason(self) -> str:
        """Why they wait."""
        return reasons.no_node(self.queue)


@dataclass(frozen=True, kw_only=True, slots=True)
class NeverFits(_Alike):
    """Unschedulable tasks: they ask more than any node of their queue has, even an empty one."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Placements:
    """All that one round decides."""

    #: In the order of urgency.
    placed: tuple[Placement, ...]
    waiting: tuple[Waiting, ...]
    no_node: tuple[NoNode, ...]
    never_fits: tuple[NeverFits, ...]
    #: To be handed to the next round.
    ageing: Ageing

    @property
    def unplaced(self) -> tuple[Waiting | NoNode | NeverFits, ...]:
        """All that was not placed."""
        return (*self.waiting, *self.no_node, *self.never_fits)

    def reasons(self) -> dict[str, str]:
        """Return why each task that was not placed was not, by its id."""
        found: dict[str, str] = {}
        for group in self.unplaced:
            found |= dict.fromkeys((task.id for task in group.tasks), group.reason)
        return found
