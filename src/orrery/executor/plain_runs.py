"""Plain runs: those that the scheduler's loop need not judge one by one.

A loop of Airflow's judges a hundred runs, each with a dozen statements and all of its tasks in memory: 1 to 3
seconds in a storm, in which nodes run out of tasks. Of a plain run (see `turns`) counting its tasks by state
tells the same, for all of them in three statements. Now and then Airflow judges these too: whatever counting
might overlook, it finds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orrery.executor import scheduler_compat as compat
from orrery.executor.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orrery.executor.turns import Turns

#: Airflow judges a plain run this often, some in each loop.
_JUDGED_SECONDS = 30.0
_MOST_JUDGED = 10
_MOST_KNOWN = 10_000


class PlainRuns:
    """The plain runs of one scheduler."""

    def __init__(self, turns: Turns, *, job_id: Any) -> None:
        self._turns = turns
        self._job_id = job_id
        #: By run: when it is Airflow's again, on the monotonic clock.
        self._due: dict[int, float] = {}

    def schedule(self, session: Any, runs: Sequence[Any]) -> list[Any]:
        """Schedule what is ready in the plain ones of the loop's runs; return the others, for Airflow.

        The runs are locked by the transaction of the session, and it stays open.
        """
        rows = compat.lock_runs(session, [(run.dag_id, run.run_id) for run in runs])
        counted = compat.count_states(session, rows)
        plain: list[compat.RunRow] = []
        ready: list[tuple[str, str, str]] = []
        for row in self._without_due(rows):
            tasks = self._turns.ready(session, row, *counted[row.id], by=Shape.ready_without_clock)
            if tasks is not None:
                plain.append(row)
                ready.extend((row.dag_id, row.run_id, task) for task in sorted(tasks))
        now = datetime.now(UTC)
        if ready:
            compat.schedule_ready(session, ready, now=now)
        if plain:
            compat.decided(session, plain, job_id=self._job_id, now=now)
        done = {row.id for row in plain}
        return [run for run in runs if run.id not in done]

    def _without_due(self, rows: Sequence[compat.RunRow]) -> list[compat.RunRow]:
        """Leave out those that Airflow has not judged for a while."""
        now = time.monotonic()
        if len(self._due) > _MOST_KNOWN:
            self._due.clear()
        for row in rows:
            self._due.setdefault(row.id, now + _JUDGED_SECONDS)
        due = [row.id for row in rows if self._due[row.id] <= now][:_MOST_JUDGED]
        for run in due:
            self._due[run] = now + _JUDGED_SECONDS
        return [row for row in rows if row.id not in due]
