"""Rendered fields of old runs, deleted some seconds later for all tasks that stored theirs meanwhile.

Airflow deletes them with each task that stores its own. Nobody waits for that, and it costs a statement for
each: in a chain of tasks as much as storing does.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

log = logging.getLogger(__name__)

#: How long old fields stay at most, after a task of a newer run stored its own.
WAIT_SECONDS = 10.0

#: A Dag and a task of it.
Task = tuple[str, str]


class OldFields:
    """Gathers tasks, and has the old fields of all of them deleted at once. Threads may share it.

    What waits when the process ends is deleted after the next run's tasks have stored theirs.
    """

    def __init__(
        self, delete: Callable[[Mapping[str, list[str]]], None], *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        """`delete` is given the names of tasks for each Dag."""
        self._delete = delete
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._noted: set[Task] = set()

    def note(self, tasks: Iterable[Task]) -> None:
        """Have the old fields of these tasks deleted soon."""
        with self._lock:
            is_first = not self._noted
            self._noted.update(tasks)
            if is_first and self._noted:
                timer = threading.Timer(self._wait_seconds, self.sweep)
                timer.daemon = True
                timer.start()

    def sweep(self) -> None:
        """Delete what waits, now."""
        with self._lock:
            tasks, self._noted = self._noted, set()
        dags: dict[str, list[str]] = {}
        for dag_id, task_id in sorted(tasks):
            dags.setdefault(dag_id, []).append(task_id)
        try:
            self._delete(dags)
        except Exception:
            log.warning(
                "Rendered fields of old runs of %d DAGs could not be deleted; it is tried again after"
                " their next tasks",
                len(dags),
                exc_info=True,
            )
