"""Ageing: how long a task lets others go first before a node is kept for it.

A task that needs much room would wait for ever behind a stream of small ones that fit into every gap. So
who was passed over for long enough comes first in its priority, and a node is reserved for it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orrery.executor.backlog import arrival

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orrery.executor.backlog import PendingTask


#: Who came first: time, then id.
Arrival = tuple[datetime, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """When a waiting task has aged."""

    #: After so many rounds in which a task that came later went first ...
    rounds_passed_over: int = 200
    #: ... or after the first such round, once it has waited so long.
    patience: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ageing:
    """What one round remembers for the next. Losing it costs patience, never a task."""

    #: By id of a waiting task: in how many rounds a later one went first.
    passed_over: Mapping[str, int] = field(default_factory=dict)
    #: By id of a waiting task: the node that is kept for it.
    reserved: Mapping[str, str] = field(default_factory=dict)

    def has_aged(self, task: PendingTask, *, now: datetime, policy: Policy) -> bool:
        """Tell whether it is this task's turn before all fresh ones of its priority."""
        rounds = self.passed_over.get(task.id, 0)
        if not rounds:  # a queue that is merely long is no injustice
            return False
        return rounds >= policy.rounds_passed_over or now - task.queued_at >= policy.patience


class Overtakers:
    """The tasks that were placed on one queue's nodes in one round: who came later than somebody waiting?"""

    def __init__(self, placed: Iterable[PendingTask]) -> None:
        ranked = sorted((task.priority, arrival(task)) for task in placed)
        self._priorities = [priority for priority, _ in ranked]
        # The latest arrival among those of this priority or less.
        self._latest: list[Arrival] = []
        for _, arrived in ranked:
            self._latest.append(max(arrived, self._latest[-1]) if self._latest else arrived)

    def passed(self, task: PendingTask) -> bool:
        """Tell whether one that came later, and is no more important, went before that task."""
        upto = bisect_right(self._priorities, task.priority)
        return upto > 0 and self._latest[upto - 1] > arrival(task)
