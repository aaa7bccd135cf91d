"""The backlog: all tasks that wait for a place, those that ask the same standing in one line."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from orrery.executor.resources import Resources

#: Who came first; the id decides between two that came together.
arrival = attrgetter("queued_at", "id")


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingTask:
    """A queued task that waits for a place. Ids are unique."""

    id: str
    resources: Resources
    queue: str
    #: Higher goes first.
    priority: int
    queued_at: datetime
    #: The bundle version it runs from: it starts soonest where that is warm.
    bundle: str | None = None


class Line:
    """Waiting tasks alike in priority, queue and resources, in the order of their arrival."""

    __slots__ = ("amounts", "asked", "priority", "queue", "resources", "tasks")

    def __init__(self, priority: int, queue: str, resources: Resources) -> None:
        self.priority = priority
        self.queue = queue
        self.resources = resources
        # Kept, because every round asks for them.
        self.amounts = resources.amounts
        self.asked = resources.asked
        self.tasks: list[PendingTask] = []


class Backlog:
    """Lines that are kept from round to round, so that a round costs by lines and not by tasks."""

    def __init__(self, tasks: Iterable[PendingTask] = ()) -> None:
        self._lines: dict[tuple[int, str, Resources], Line] = {}
        self._tasks = {task.id: task for task in tasks}
        for task in self._tasks.values():
            self._line(task).tasks.append(task)
        for line in self._lines.values():
            line.tasks.sort(key=arrival)

    def add(self, task: PendingTask) -> None:
        """Let a task stand in line; one with the same id is replaced."""
        self.discard(task.id)
        self._tasks[task.id] = task
        insort(self._line(task).tasks, task, key=arrival)

    def discard(self, task_id: str) -> None:
        """Take a task out, if it is there."""
        task = self._tasks.pop(task_id, None)
        if task is None:
            return
        line = self._line(task)
        del line.tasks[bisect_left(line.tasks, arrival(task), key=arrival)]
        if not line.tasks:
            del self._lines[(line.priority, line.queue, line.resources)]

    @property
    def lines(self) -> Iterable[Line]:
        """All lines; none is empty."""
        return self._lines.values()

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[PendingTask]:
        return iter(self._tasks.values())

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def _line(self, task: PendingTask) -> Line:
        key = (task.priority, task.queue, task.resources)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(*key)
        return line
