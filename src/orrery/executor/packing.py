"""Packing: which pending task starts on which node, as a function of values.

Priority first; in a priority those that have aged, by arrival; then the others, the largest dominant
share first, by arrival where it is equal. Each goes to the node where it fits best. See
docs/executor/packing.md for what that means to whoever runs it.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from orrery.executor.ageing import Ageing, Overtakers, Policy
from orrery.executor.backlog import Backlog, arrival
from orrery.executor.fleet import Fleet
from orrery.executor.placement import NeverFits, NoNode, Placement, Placements, Waiting
from orrery.executor.reasons import never_fits
from orrery.executor.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from orrery.executor.backlog import PendingTask
    from orrery.executor.node import Node, RunningTask

#: (minus priority, _AGED | _FRESH, minus dominant share when fresh, arrival): unique, least first.
_Rank = tuple[int, int, float, tuple["datetime", str]]

_AGED, _FRESH = 0, 1


def place(
    pending: Backlog | Iterable[PendingTask],
    nodes: Iterable[Node],
    running: Iterable[RunningTask] = (),
    *,
    now: datetime,
    policy: Policy = Policy(),  # noqa: B008 (it is frozen)
    ageing: Ageing = Ageing(),  # noqa: B008
) -> Placements:
    """Decide one round. Nothing given is changed; equal arguments give equal results, in whatever order.

    No node is over-committed, in no resource. A `Backlog` is the cheap form of `pending`: a round then
    costs by the kinds of requests and by what is placed, not by what waits. Hand the result's `ageing`
    to the next round, and take what was placed, or never fits, out of the backlog.

    Raises:
        ValueError: two nodes have one name.
    """
    backlog = pending if isinstance(pending, Backlog) else Backlog(pending)
    return _Round(Fleet(nodes, running), now, policy, ageing).run(backlog)


class _Round:
    """The working state of one call."""

    def __init__(self, fleet: Fleet, now: datetime, policy: Policy, ageing: Ageing) -> None:
        self._fleet = fleet
        self._now = now
        self._policy = policy
        self._ageing = ageing
        self._placed: list[Placement] = []
        self._on: dict[str, list[PendingTask]] = defaultdict(list)
        self._waiting: list[tuple[_Rank, Turn]] = []
        self._reserved: dict[str, str] = {}

    def run(self, backlog: Backlog) -> Placements:
        no_node: list[NoNode] = []
        too_large: list[NeverFits] = []
        turns: list[tuple[_Rank, Turn]] = []
        for line in backlog.lines:
            queue = self._fleet.queue(line.queue)
            if queue is None:
                no_node.append(NoNode(tasks=tuple(line.tasks)))
            elif not queue.could_hold(line):
                reason = never_fits(line.resources, line.queue, queue.serving)
                too_large.append(NeverFits(tasks=tuple(line.tasks), reason=reason))
            else:
                turn = Turn(line, queue, self._fleet.total)
                turns.append((self._rank(turn), turn))
        self._fill(turns)
        return Placements(
            placed=tuple(self._placed),
            waiting=tuple(
                Waiting(tasks=tuple(turn.line.tasks[turn.at :]), rooms=turn.queue.serving)
                for _, turn in self._waiting
            ),
            no_node=tuple(sorted(no_node, key=_first_arrival)),
            never_fits=tuple(sorted(too_large, key=_first_arrival)),
            ageing=Ageing(passed_over=self._passed_over(), reserved=self._reserved),
        )

    def _fill(self, turns: list[tuple[_Rank, Turn]]) -> None:
        """Let the most urgent task of all lines choose, until every line is empty or stuck.

        A line whose first task finds no room is stuck for this round: room only becomes less.
        """
        heapify(turns)
        while turns:
            rank, turn = heappop(turns)
            task = turn.task
            room = turn.best()
            if room is None:
                self._waiting.append((rank, turn))
                if rank[1] == _AGED:
                    self._reserve(turn)
                continue
            room.take(turn.line.asked)
            is_warm = task.bundle in room.node.warm
            self._placed.append(Placement(task=task, node=room.node.name, is_warm=is_warm))
            self._on[room.node.name].append(task)
            turn.at += 1
            if not turn.is_over:
                heappush(turns, (self._rank(turn), turn))

    def _rank(self, turn: Turn) -> _Rank:
        task = turn.task
        if self._ageing.has_aged(task, now=self._now, policy=self._policy):
            return (-task.priority, _AGED, 0.0, arrival(task))
        return (-task.priority, _FRESH, -turn.share, arrival(task))

    def _reserve(self, turn: Turn) -> None:
        """Keep one node for a task that has aged: where the least has to end before it fits.

        Only a node that could hold it, that takes tasks and that is kept for nobody more urgent. It
        moves only to where less has to end than before: then the rest shrinks from round to round.
        """
        task, asked = turn.task, turn.line.asked
        if any(room.has_open(asked) for room in turn.queue.ready):
            return  # it waits for a start, not for room
        able = [r for r in turn.queue.ready if r.kept_for is None and r.could_hold(turn.line.resources)]
        if not able:
            return
        before = self._ageing.reserved.get(task.id)
        room = min(able, key=lambda r: (r.shortfall(asked), r.node.name != before, r.node.name))
        room.keep(asked, task.id)
        self._reserved[task.id] = room.node.name

    def _passed_over(self) -> dict[str, int]:
        """Count this round for the first of each line that waits: those behind it wait for it anyway."""
        counts: dict[str, int] = {}
        overtakers: dict[str, Overtakers] = {}
        for _, turn in self._waiting:
            name, task = turn.line.queue, turn.task
            if name not in overtakers:
                here = (placed for room in turn.queue.ready for placed in self._on[room.node.name])
                overtakers[name] = Overtakers(here)
            count = self._ageing.passed_over.get(task.id, 0) + overtakers[name].passed(task)
            if count:
                counts[task.id] = count
        return counts


def _first_arrival(group: NoNode | NeverFits) -> tuple[datetime, str]:
    return arrival(group.tasks[0])
