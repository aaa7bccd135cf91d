"""Turns: what the scheduler does about runs whose tasks have succeeded, between two of its loops.

A loop of Airflow's looks at everything: Dags that are due, assets, runs that wait, deadlines, callbacks.
A task's success changes nothing of that, most often. A turn looks at its run alone, and starts what the
success has made ready, under the locks that Airflow takes. Where other tasks wait for the same room it
schedules only, many runs together, and Airflow's own choice of what is queued follows; where anything in a
run is not plain, Airflow's own judgement of that run. A loop comes where even that cannot be told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from airflow.utils.session import create_session

from orrery.executor import scheduler_compat as compat
from orrery.executor.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from orrery.executor.shape import States

log = structlog.get_logger(__name__)

_MOST_SHAPES = 1000
#: So many runs are looked at one by one.
_FEW = 3

#: A Dag and a run id.
Name = tuple[str, str]


class Turns:
    """The turns of one scheduler."""

    def __init__(self, runner: Any) -> None:
        """Take Airflow's job runner, whose loop is under way."""
        self._runner = runner
        #: By version of a Dag, with the Dag that was read: a version may be written anew.
        self._shapes: dict[UUID, tuple[Any, Shape | None]] = {}
        #: How many tasks the last turn has queued.
        self.queued = 0
        #: Whether tasks were seen that wait to be queued, of whichever run.
        self.is_more_scheduled = False

    def take(self, runs: Iterable[Name]) -> bool:
        """Look at runs; False: a loop has to."""
        self.queued = 0
        try:
            if self.is_more_scheduled:
                self.is_more_scheduled = self._is_anything_scheduled()
            named = list(runs)
            # Each by itself is a transaction, and so a wait for the disk.
            is_crowd = len(named) > _FEW
            crowd = [run for run in named if is_crowd or self.is_more_scheduled or not self._look_at(run)]
            if crowd and (special := self._schedule(crowd)):
                self._judge(special)
        except Exception:
            # Whatever it is, Airflow's own loop meets it too, and knows what to do.
            log.warning("A turn failed; the scheduler's loop goes on", exc_info=True)
            return False
        return True

    def seconds_of_quiet(self) -> float | None:
        """Return for how long nothing is due; None: something is, or it cannot be told."""
        try:
            with create_session() as session:
                return compat.seconds_of_quiet(session)
        except Exception:
            # As above: whoever does not know sleeps no longer than Airflow would.
            log.warning("What is due cannot be told; the scheduler's loop goes on", exc_info=True)
            return None

    def queue_scheduled(self) -> int | None:
        """Queue what is scheduled, of all runs, as the loop does; return how many that was.

        None: another scheduler does the same.
        """
        with create_session() as session:
            queued = compat.queue_scheduled(self._runner, session)
            session.expunge_all()
        return queued

    # -- one run, with room ------------------------------------------------------------------------

    def _look_at(self, name: Name) -> bool:
        """Queue what is ready in a run; False: others wait for the room, or it is not plain."""
        executor = self._runner.executors[0]
        before = set(executor.queued_tasks)
        try:
            with create_session() as session:
                is_done = self._advance(session, name)
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

    def _advance(self, session: Any, name: Name) -> bool | None:
        """Return None when something is to be committed; True: nothing to do; False: it is left."""
        locked = compat.lock_runs(session, [name])
        if not locked:
            return True  # another scheduler has it, or it does not run
        [run] = locked
        counts, is_current = compat.count_states(session, locked)[run.id]
        ready = self.ready(session, run, counts, is_current)
        if ready is None:
            return False
        if not ready:
            # The success has freed a slot: perhaps one that a task waits for, of this run or of another.
            self.is_more_scheduled = any(
                "scheduled" in states for states in counts.values()
            ) or compat.is_anything_scheduled(session)
            return True
        active = sum(states.get("queued", 0) + states.get("running", 0) for states in counts.values())
        return None if self._queue(session, run, ready, active) else False

    def _queue(self, session: Any, run: compat.RunRow, ready: frozenset[str], active: int) -> bool:
        """Queue tasks where nothing else waits for the room they take; else Airflow has to choose."""
        room = compat.enter(session)
        if room is None or room.scheduled:
            self.is_more_scheduled = True
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
        compat.decided(session, [run], job_id=job_id, now=now)
        compat.hand_over(self._runner, session, [row.id for row in rows])
        self.queued += len(rows)
        return True

    # -- many runs, or what is not plain -----------------------------------------------------------

    def _schedule(self, names: list[Name]) -> list[Name]:
        """Schedule what is ready in runs, whatever room there is; return those that are not plain."""
        special: list[Name] = []
        ready: list[tuple[str, str, str]] = []
        with create_session() as session:
            runs = compat.lock_runs(session, names)
            counted = compat.count_states(session, runs)
            changed = []
            for run in runs:
                tasks = self.ready(session, run, *counted[run.id])
                if tasks is None:
                    special.append((run.dag_id, run.run_id))
                elif tasks:
                    changed.append(run)
                    ready.extend((run.dag_id, run.run_id, task) for task in sorted(tasks))
            if ready:
                now = datetime.now(UTC)
                compat.schedule_ready(session, ready, now=now)
                compat.decided(session, changed, job_id=self._runner.job.id, now=now)
                self.is_more_scheduled = True
            session.expunge_all()
        return special

    def _judge(self, names: list[Name]) -> None:
        """Let Airflow judge these runs, as its loop judges all: they may be over, or anything."""
        with create_session() as session:
            compat.schedule_runs(self._runner, session, names)
            session.expunge_all()
            self.is_more_scheduled = self.is_more_scheduled or compat.is_anything_scheduled(session)

    def _is_anything_scheduled(self) -> bool:
        with create_session() as session:
            return compat.is_anything_scheduled(session)

    # -- what a run waits for ----------------------------------------------------------------------

    def ready(
        self,
        session: Any,
        run: compat.RunRow,
        counts: dict[str, States],
        is_current: bool,
        *,
        by: Callable[[Shape, dict[str, States]], frozenset[str] | None] = Shape.ready,
    ) -> frozenset[str] | None:
        """Return the tasks of a run that may start now, by that rule; None: only Airflow can tell."""
        if run.has_task_limits or not (is_current or run.is_pinned):
            return None  # of another version: its Dag has changed, and Airflow goes over to the new one
        shape = self._shape(session, run)
        return None if shape is None else by(shape, counts)

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
