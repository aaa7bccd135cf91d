"""Turns: what the scheduler does about one run whose task has succeeded, between two of its loops.

A loop of Airflow's looks at everything: Dags that are due, assets, runs that wait, deadlines, callbacks.
A task's success changes nothing of that, most often. A turn looks at that run alone, and starts what the
success has made ready, under the locks that Airflow takes. Where anything is not plain it does nothing and
says so: then the loop comes, at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from airflow.utils.session import create_session

from orrery.executor import scheduler_compat as compat

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from orrery.executor.shape import Shape

log = structlog.get_logger(__name__)

_MOST_SHAPES = 1000


class Turns:
    """The turns of one scheduler."""

    def __init__(self, runner: Any) -> None:
        """Take Airflow's job runner, whose loop is under way."""
        self._runner = runner
        #: By version of a Dag, with the Dag that was read: a version may be written anew.
        self._shapes: dict[UUID, tuple[Any, Shape | None]] = {}
        #: How many tasks the last turn has queued.
        self.queued = 0
        #: Whether tasks were seen that wait to be queued.
        self.is_more_scheduled = False

    def take(self, runs: Iterable[tuple[str, str]]) -> bool:
        """Look at runs, by Dag and run id; False: a loop has to."""
        self.queued = 0
        self.is_more_scheduled = False
        try:
            return all(self._look_at(dag_id, run_id) for dag_id, run_id in runs)
        except Exception:
            # Whatever it is, Airflow's own loop meets it too, and knows what to do.
            log.warning("A turn failed; the scheduler's loop goes on", exc_info=True)
            return False

    def seconds_of_quiet(self) -> float | None:
        """Return for how long nothing is due; None: something is, or it cannot be told."""
        try:
            with create_session() as session:
                return compat.seconds_of_quiet(session)
        except Exception:
            # As above: whoever does not know sleeps no longer than Airflow would.
            log.warning("What is due cannot be told; the scheduler's loop goes on", exc_info=True)
            return None

    def queue_scheduled(self) -> int:
        """Queue what is scheduled, of all runs, as the loop does; return how many that was."""
        with create_session() as session:
            queued = compat.queue_scheduled(self._runner, session)
            session.expunge_all()
        return queued

    def _look_at(self, dag_id: str, run_id: str) -> bool:
        executor = self._runner.executors[0]
        before = set(executor.queued_tasks)
        try:
            with create_session() as session:
                is_done = self._advance(session, dag_id, run_id)
                if is_done is None:
                    session.commit()
                else:
                    # Nothing was written, or nothing that counts: a commit would wait for the disk.
                    session.rollback()
                session.expunge_all()
        except BaseException:
            for key in set(executor.queued_tasks) - before:  # not queued after all
                del executor.queued_tasks[key]
            raise
        return is_done is not False

    def _advance(self, session: Any, dag_id: str, run_id: str) -> bool | None:
        """Return None when something is to be committed; True: nothing to do; False: a loop is needed."""
        run = compat.lock_run(session, dag_id, run_id)
        if run is None:
            return True  # another scheduler has it, or it does not run
        shape = self._shape(session, run)
        if shape is None or run.has_task_limits:
            return False
        counts, is_current = compat.count_states(session, run)
        if not (is_current or run.is_pinned):
            return False  # its Dag has changed: Airflow goes over to the new version
        ready = shape.ready(counts)
        if ready is None:
            return False
        if not ready:
            # The success has freed a slot: perhaps one that a task waits for, of this run or of another.
            self.is_more_scheduled = (
                self.is_more_scheduled
                or any("scheduled" in states for states in counts.values())
                or compat.is_anything_scheduled(session)
            )
            return True
        active = sum(states.get("queued", 0) + states.get("running", 0) for states in counts.values())
        return None if self._queue(session, run, ready, active) else False

    def _queue(self, session: Any, run: compat.RunRow, ready: frozenset[str], active: int) -> bool:
        """Queue tasks where nothing else waits for the room they take; else Airflow has to choose."""
        room = compat.enter(session)
        if room is None or room.scheduled:
            return False
        now = datetime.now(UTC)
        job_id = self._runner.job.id
        rows = compat.queue_ready(session, run, ready, job_id=job_id, now=now)
        open_slots = dict(room.open)
        for row in rows:
            if row.executor is not None or row.dag_version_id is None or row.pool not in open_slots:
                return False
            open_slots[row.pool] -= row.pool_slots
        most = min(
            self._runner.executors[0].slots_available,
            compat.most_per_query(self._runner) or len(rows),
            run.max_active_tasks - active,
        )
        if len(rows) > most or any(open_slots[row.pool] < 0 for row in rows):
            return False
        compat.decided(session, run, job_id=job_id, now=now)
        compat.hand_over(self._runner, session, [row.id for row in rows])
        self.queued += len(rows)
        return True

    def _shape(self, session: Any, run: compat.RunRow) -> Shape | None:
        if run.version_id is None:
            return None
        dag = compat.dag_of(self._runner, session, run.version_id)
        if dag is None:
            return None
        known = self._shapes.get(run.version_id)
        if known is None or known[0] is not dag:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            known = self._shapes[run.version_id] = (dag, compat.shape_of(dag))
        return known[1]
