"""What a Dag's tasks wait for, so far as counting states can tell; and what that makes ready in a run.

Pure. It judges the regular case only: tasks that wait for all their upstream tasks, and a run in which
nothing has failed or been skipped. Of everything else it says that it does not know: that is Airflow's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: States by name; None is a task that nothing has happened to yet.
States = dict[str | None, int]

_SUCCESS = "success"
_UNDER_WAY = frozenset({"scheduled", "queued", "running"})
#: No task leaves these by the clock or by a person's doing, as it does when it is up for retry or deferred.
_TIMELESS = _UNDER_WAY | {None, _SUCCESS}
#: It is not over, and nothing can follow it yet. What it waits for itself is the poll's to find.
_UNFINISHED = frozenset(
    {
        None,
        "scheduled",
        "queued",
        "running",
        "restarting",
        "up_for_retry",
        "up_for_reschedule",
        "deferred",
        "awaiting_input",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A Dag whose tasks wait for the success of all that is upstream of them."""

    #: By task: those directly before it.
    upstream: Mapping[str, frozenset[str]]
    #: Those that are more than one row of the database to start: only Airflow starts them.
    special: frozenset[str] = frozenset()
    #: Whether a run of it may be over by the clock.
    has_timeout: bool = False

    def ready_without_clock(self, run: Mapping[str, States]) -> frozenset[str] | None:
        """Return what `ready` does, where nothing else can become of the run now.

        None also: the clock may lead on (a retry, a timeout), or nothing does (a deadlock). Airflow has to
        look.
        """
        ready = self.ready(run)
        states = {state for counts in run.values() for state, count in counts.items() if count}
        if ready is None or self.has_timeout or not states <= _TIMELESS:
            return None
        return ready if ready or states & _UNDER_WAY else None

    def ready(self, run: Mapping[str, States]) -> frozenset[str] | None:
        """Return the tasks that may start now, by how many instances of each task are in which state.

        None: it cannot be told by counting, or the run is over. Airflow has to look.
        """
        if not run.keys() <= self.upstream.keys():
            return None
        is_over = True
        for states in run.values():
            for state, count in states.items():
                if state in _UNFINISHED:
                    is_over = is_over and not count
                elif state != _SUCCESS:
                    return None
        if is_over:
            return None
        ready = frozenset(
            task
            for task, states in run.items()
            if states.get(None) and all(_is_done(run.get(each)) for each in self.upstream[task])
        )
        return None if ready & self.special else ready


def _is_done(states: States | None) -> bool:
    return bool(states) and not any(count for state, count in (states or {}).items() if state != _SUCCESS)
