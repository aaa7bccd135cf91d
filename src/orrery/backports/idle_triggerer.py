"""A triggerer asks the database one small question a second while there is no trigger, not half a dozen.

Each second Airflow's assigns triggers to itself, asks for its own, clears what refers to triggers and deletes
those that nobody needs. Where the table of triggers is empty, and this triggerer runs none, all of that
finds nothing: a task that refers to a trigger cannot be there without it. So that is what is asked first.

Private names of Airflow used here: `TriggererJobRunner.is_needed`, `TriggerRunnerSupervisor.load_triggers`
and `clean_unused`, which its `run_once` calls in this order, and the sets and queues of what it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

#: What a triggerer is busy with: `update_triggers` looks at the same.
_BUSY = ("running_triggers", "events", "cancelling_triggers", "failed_triggers", "creating_triggers")


def apply(triggerer: ModuleType) -> None:
    """Mend `airflow.jobs.triggerer_job_runner`."""
    # The triggerers that had nothing to do when their round began. A process has one.
    idle: set[int] = set()

    def load(original: Callable[..., None]) -> Callable[..., None]:
        def load_triggers(self: Any) -> None:
            idle.discard(id(self))
            # Airflow's own question, of the warnings of its pages.
            if not _is_busy(self) and not triggerer.TriggererJobRunner.is_needed():
                idle.add(id(self))
            else:
                original(self)

        return load_triggers

    def clean(original: Callable[..., None]) -> Callable[..., None]:
        def clean_unused(self: Any) -> None:
            if id(self) not in idle:
                original(self)

        return clean_unused

    wrap(triggerer.TriggerRunnerSupervisor, "load_triggers", load)
    wrap(triggerer.TriggerRunnerSupervisor, "clean_unused", clean)


def _is_busy(triggerer: Any) -> bool:
    return any(getattr(triggerer, name) for name in _BUSY)
