"""A node: a machine that runs tasks, as placement sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from orrery.executor.resources import Resources

#: `cordoned` takes no new tasks, `draining` is to stop when its tasks have ended, `unreachable` has not
#: been heard of lately. All but `ready` may come back: tasks that only they can hold wait for them.
NodeState = Literal["ready", "cordoned", "draining", "unreachable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node. Names are unique."""

    name: str
    allocatable: Resources
    queues: frozenset[str]
    #: How many tasks it may be starting at the same time: starting is CPU work, whatever a task asks for.
    max_starting: int
    #: The bundle versions whose imports it has ready.
    warm: frozenset[str] = frozenset()
    state: NodeState = "ready"

    @property
    def is_ready(self) -> bool:
        """Whether it takes new tasks."""
        return self.state == "ready"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningTask:
    """A task that occupies its node: placed, and not yet known to have ended."""

    id: str
    node: str
    resources: Resources
    #: True until it has reported that it runs.
    is_starting: bool = False
