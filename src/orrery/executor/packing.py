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
from orrery.executor.placement import NeverFits, NoNode, Placement, Placements, Waiting
from orrery.executor.reasons import never_fits
from orrery.executor.room import Room, need, rooms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from orrery.executor.backlog import Line, PendingTask
    from orrery.executor.node import Node, RunningTask

#: (minus priority, 0 aged | 1 fresh, minus dominant share when fresh, arrival): unique, least first.
_Rank = tuple[int, int, float, tuple["datetime", str]]

_GPU = 2


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
    return _Round(rooms(nodes, running), now, policy, ageing).run(backlog)


class _Turn:
    """A line in this round: whose turn it is in it, and where they may go."""

    __slots__ = ("at", "line", "need", "rooms", "scarcest", "share")

    def __init__(self, line: Line, ready: list[Room], share: float, scarcest: int) -> None:
        self.line = line
        self.need = need(line.resources)
        self.rooms = ready
        self.share = share
        #: Index of the resource of which it asks the largest share.
        self.scarcest = scarcest
        self.at = 0

    @property
    def task(self) -> PendingTask:
        return self.line.tasks[self.at]

    @property
    def is_over(self) -> bool:
        return self.at >= len(self.line.tasks)

    @property
    def left(self) -> tuple[PendingTask, ...]:
        return tuple(self.line.tasks[self.at :])


class _Round:
    """The working state of one call."""

    def __init__(self, all_rooms: list[Room], now: datetime, policy: Policy, ageing: Ageing) -> None:
        self._now = now
        self._policy = policy
        self._ageing = ageing
        self._total = [
            sum(amounts) for amounts in zip(*(r.node.allocatable.amounts for r in all_rooms), strict=True)
        ]
        self._serving: dict[str, list[Room]] = defaultdict(list)
        for room in all_rooms:
            for queue in room.node.queues:
                self._serving[queue].append(room)
        self._ready = {queue: [r for r in some if r.node.is_ready] for queue, some in self._serving.items()}
        #: Nodes are often alike: each size is compared once.
        self._sizes = {queue: {r.node.allocatable for r in some} for queue, some in self._serving.items()}
        self._placed: list[Placement] = []
        self._on: dict[str, list[PendingTask]] = defaultdict(list)
        self._waiting: list[tuple[_Rank, _Turn]] = []
        self._reserved: dict[str, str] = {}

    def run(self, backlog: Backlog) -> Placements:
        no_node: list[NoNode] = []
        too_large: list[NeverFits] = []
        turns: list[tuple[_Rank, _Turn]] = []
        for line in backlog.lines:
            serving = self._serving.get(line.queue)
            if not serving:
                no_node.append(NoNode(tasks=tuple(line.tasks)))
            elif not any(line.resources.fits(size) for size in self._sizes[line.queue]):
                reason = never_fits(line.resources, line.queue, serving)
                too_large.append(NeverFits(tasks=tuple(line.tasks), reason=reason))
            else:
                turn = self._turn(line)
                turns.append((self._rank(turn), turn))
        self._fill(turns)
        return Placements(
            placed=tuple(self._placed),
            waiting=tuple(
                Waiting(tasks=turn.left, rooms=tuple(self._serving[turn.line.queue]))
                for _, turn in self._waiting
            ),
            no_node=tuple(sorted(no_node, key=lambda group: arrival(group.tasks[0]))),
            never_fits=tuple(sorted(too_large, key=lambda group: arrival(group.tasks[0]))),
            ageing=Ageing(passed_over=self._passed_over(), reserved=self._reserved),
        )

    def _fill(self, turns: list[tuple[_Rank, _Turn]]) -> None:
        """Let the most urgent task of all lines choose, until every line is empty or stuck.

        A line whose first task finds no room is stuck for this round: room only becomes less.
        """
        heapify(turns)
        while turns:
            rank, turn = heappop(turns)
            task = turn.task
            room = self._best(turn, task)
            if room is None:
                self._waiting.append((rank, turn))
                if rank[1] == 0:
                    self._reserve(turn, task)
                continue
            room.take(turn.need)
            self._placed.append(
                Placement(task=task, node=room.node.name, is_warm=task.bundle in room.node.warm)
            )
            self._on[room.node.name].append(task)
            turn.at += 1
            if not turn.is_over:
                heappush(turns, (self._rank(turn), turn))

    def _turn(self, line: Line) -> _Turn:
        shares = [
            amount / total if total else 0.0
            for amount, total in zip(line.resources.amounts, self._total, strict=True)
        ]
        share = max(shares)
        return _Turn(line, self._ready[line.queue], share, shares.index(share))

    def _rank(self, turn: _Turn) -> _Rank:
        task = turn.task
        if self._ageing.has_aged(task, now=self._now, policy=self._policy):
            return (-task.priority, 0, 0.0, arrival(task))
        return (-task.priority, 1, -turn.share, arrival(task))

    def _best(self, turn: _Turn, task: PendingTask) -> Room | None:
        """Return the node to take: no GPUs idled, then warm, then least left of what is asked most."""
        # Where there was no room a moment ago there is none now.
        turn.rooms = [room for room in turn.rooms if room.may_start and room.has_open(turn.need)]
        if not turn.rooms:
            return None
        needs_gpu = turn.line.resources.gpus > 0
        scarcest = turn.scarcest
        return min(
            turn.rooms,
            key=lambda room: (
                not needs_gpu and room.node.allocatable.amounts[_GPU] > 0,
                task.bundle not in room.node.warm,
                room.open[scarcest],
                room.node.name,
            ),
        )

    def _reserve(self, turn: _Turn, task: PendingTask) -> None:
        """Keep one node for a task that has aged: where the least has to end before it fits.

        Only a node that could hold it, that takes tasks and that is kept for nobody more urgent. It
        moves only to where less has to end than before: then the rest shrinks from round to round.
        """
        ready = self._ready[turn.line.queue]
        if any(room.has_open(turn.need) for room in ready):
            return  # it waits for a start, not for room
        able = [r for r in ready if r.kept_for is None and r.could_hold(turn.line.resources)]
        if not able:
            return
        before = self._ageing.reserved.get(task.id)
        room = min(able, key=lambda r: (r.shortfall(turn.need), r.node.name != before, r.node.name))
        room.keep(turn.need, task.id)
        self._reserved[task.id] = room.node.name

    def _passed_over(self) -> dict[str, int]:
        """Count this round for the first of each line that waits: those behind it wait for it anyway."""
        counts: dict[str, int] = {}
        overtakers: dict[str, Overtakers] = {}
        for _, turn in self._waiting:
            queue, task = turn.line.queue, turn.task
            if queue not in overtakers:
                overtakers[queue] = Overtakers(
                    placed for room in self._ready[queue] for placed in self._on[room.node.name]
                )
            count = self._ageing.passed_over.get(task.id, 0) + overtakers[queue].passed(task)
            if count:
                counts[task.id] = count
        return counts
