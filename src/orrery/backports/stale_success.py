"""A success from before a deferral no longer fails the task that has been resumed since.

A task that defers ends its process, and the executor reports a success. If the trigger fires before the
scheduler reads that event, it finds the same try queued or running again and calls it a mismatch. Airflow
3.3.2 recognises the event as old while the task is scheduled only; pull request 68741 adds the state queued,
72767 and 71579 (open) the state running. Then `next_method` is set: from the deferral to the end of the try.

What is given up: a resumed task whose executor reports a success although it left no final state. It is
failed all the same, later: running, for its missing heartbeats; queued, for waiting too long.

Private name of Airflow used here: `SchedulerJobRunner.process_executor_events`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

log = logging.getLogger(__name__)


def apply(scheduler_job_runner: ModuleType) -> None:
    """Mend `airflow.jobs.scheduler_job_runner`."""
    wrap(scheduler_job_runner.SchedulerJobRunner, "process_executor_events", _patiently)


def _patiently(process: Callable[..., int]) -> Callable[..., int]:
    def process_executor_events(cls: type, executor: Any, *arguments: Any, **keywords: Any) -> int:
        return process(cls, _Patient(executor), *arguments, **keywords)

    return process_executor_events


class _Patient:
    """An executor that still has a task which was resumed since the success that it reports.

    The scheduler asks `has_task` of a task whose row it has locked, before it calls an event a mismatch.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._successes: frozenset[Any] = frozenset()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def __str__(self) -> str:
        return str(self._executor)

    def __repr__(self) -> str:
        return repr(self._executor)

    def get_event_buffer(self, *arguments: Any, **keywords: Any) -> Any:
        """Return and forget the executor's events, remembering which are successes."""
        events = self._executor.get_event_buffer(*arguments, **keywords)
        self._successes = frozenset(key for key, value in events.items() if value[0] == "success")
        return events

    def has_task(self, task_instance: Any) -> bool:
        """Return whether the executor has the task, or must have it again."""
        return self._executor.has_task(task_instance) or self._was_resumed(task_instance)

    def _was_resumed(self, task_instance: Any) -> bool:
        if (
            task_instance.state not in ("queued", "running")
            or task_instance.next_method is None
            or task_instance.key not in self._successes
        ):
            return False
        log.info("%s was resumed after the success that the executor reports: ignored", task_instance)
        return True
