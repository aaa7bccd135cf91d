"""Private interfaces of Airflow's scheduler that the executor uses, and its rows that it reads and writes.

Contract test: tests/contract/test_scheduler_compat.py.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.definitions.mappedoperator import is_mapped
from airflow.utils.db import DBLocks
from airflow.utils.retries import retry_db_transaction
from airflow.utils.sqlalchemy import is_lock_not_available_error, prohibit_commit, with_row_locks
from airflow.utils.state import DagRunState
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import joinedload

from orrery.executor.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from sqlalchemy.orm import Session

    from orrery.executor.shape import States

#: With all upstream tasks successful each of these is met; while one of them goes on, none is.
PLAIN_RULES = frozenset({"all_success", "all_done", "none_failed", "none_failed_min_one_success"})
_MARK = "orrery_original"
_UNLIMITED = 2**31


def watch_loops() -> None:
    """Let each executor that has `loop_begins` know its scheduler before that one's loop does anything.

    One that has `schedule_plain` is given the runs that the loop is about to judge, and returns those that it
    has to.
    """
    if hasattr(SchedulerJobRunner._do_scheduling, _MARK):
        return
    loop = SchedulerJobRunner._do_scheduling
    judge = SchedulerJobRunner._schedule_all_dag_runs

    @wraps(loop)
    def do_scheduling(self: Any, session: Session) -> int:
        for executor in self.executors:
            if (begins := getattr(executor, "loop_begins", None)) is not None:
                begins(self)
        return int(loop(self, session))

    def schedule_plain(self: Any, dag_runs: Iterable[Any], session: Session) -> list[Any]:
        left = list(dag_runs)
        for executor in self.executors:
            if (schedule := getattr(executor, "schedule_plain", None)) is None:
                continue
            try:
                left = schedule(session, left)
            except DBAPIError:
                raise
            except Exception:
                # Whatever it is, Airflow's own judgement meets it too, and knows what to do.
                self.log.warning("Plain runs cannot be told from others; all are judged", exc_info=True)
        return left

    # As Airflow's own part of it: begun again after an error of the database that may pass.
    schedule_again = retry_db_transaction(schedule_plain)

    @wraps(judge)
    def schedule_all_dag_runs(self: Any, guard: Any, dag_runs: Iterable[Any], session: Session) -> Any:
        return judge(self, guard, schedule_again(self, dag_runs, session), session)

    for method, original in ((do_scheduling, loop), (schedule_all_dag_runs, judge)):
        setattr(method, _MARK, original)
        setattr(SchedulerJobRunner, original.__name__, method)


def shape_of(dag: Any) -> Shape | None:
    """Return what the tasks of a Dag wait for; None where counting states cannot tell."""
    tasks = dag.task_dict
    if not all(_is_plain(task) for task in tasks.values()):
        return None
    return Shape(
        upstream={name: frozenset(task.upstream_task_ids) for name, task in tasks.items()},
        special=frozenset(name for name, task in tasks.items() if _is_special(task)),
        has_timeout=dag.dagrun_timeout is not None,
    )


def _is_plain(task: Any) -> bool:
    return not (
        task.depends_on_past
        or task.wait_for_downstream
        or task.is_setup
        or task.is_teardown
        or task.inherits_from_skipmixin
        or task.max_active_tis_per_dag is not None
        or task.max_active_tis_per_dagrun is not None
        or str(getattr(task.trigger_rule, "value", task.trigger_rule)) not in PLAIN_RULES
        or next(iter(task.iter_mapped_task_groups()), None) is not None
    )


def _is_special(task: Any) -> bool:
    """Whether starting it is not one row: it is expanded, is done without running, or begins deferred."""
    return bool(
        is_mapped(task)
        or task.inherits_from_empty_operator
        or task.start_from_trigger
        or task.start_trigger_args is not None
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A running run, locked as Airflow locks it until the transaction ends."""

    id: int
    dag_id: str
    run_id: str
    max_active_tasks: int
    has_task_limits: bool
    #: None: what version of the Dag it runs is Airflow's to find out.
    version_id: UUID | None
    #: A run without a pinned bundle goes over to the newest version when its Dag changes.
    is_pinned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What the pools have left."""

    #: By pool: slots that nothing occupies.
    open: dict[str, int]
    #: Slots that tasks wait for which are scheduled already, of whichever run.
    scheduled: int


_LOCK_RUNS = sa.text("""
    SELECT run.id, run.dag_id, run.run_id, dag.max_active_tasks,
        dag.has_task_concurrency_limits AS has_task_limits, run.bundle_version IS NOT NULL AS is_pinned,
        CASE WHEN run.bundle_version IS NOT NULL AND run.created_dag_version_id IS NOT NULL
            THEN run.created_dag_version_id
            ELSE (SELECT version.id FROM dag_version version WHERE version.dag_id = run.dag_id
                ORDER BY version.created_at DESC LIMIT 1)
        END AS version_id
    FROM unnest(CAST(:dags AS text[]), CAST(:runs AS text[])) AS asked (dag_id, run_id)
    JOIN dag_run run USING (dag_id, run_id) JOIN dag USING (dag_id)
    WHERE run.state = 'running' AND NOT dag.is_paused AND NOT dag.is_stale AND dag.bundle_name IS NOT NULL
        AND run.run_after <= now() AND (run.logical_date IS NULL OR run.logical_date <= now())
    FOR NO KEY UPDATE OF run SKIP LOCKED""")

_COUNT = sa.text("""
    SELECT asked.id, task.task_id, task.state, count(*) AS number,
        bool_or(task.dag_version_id = asked.version_id) AS is_current
    FROM unnest(CAST(:ids AS int[]), CAST(:dags AS text[]), CAST(:runs AS text[]), CAST(:versions AS uuid[]))
        AS asked (id, dag_id, run_id, version_id)
    JOIN task_instance task USING (dag_id, run_id) GROUP BY asked.id, task.task_id, task.state""")

_OTHERS = sa.text("SELECT EXISTS (SELECT FROM task_instance WHERE state = 'scheduled')")

#: What Airflow does in two steps, to be scheduled and to be queued, for tasks whom nothing stands in the way.
_QUEUE = sa.text("""
    UPDATE task_instance SET state = 'queued', scheduled_dttm = :now, queued_dttm = :now, updated_at = :now,
        queued_by_job_id = :job_id, try_number = try_number + 1,
        external_executor_id = gen_random_uuid()::text
    WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = ANY(:tasks) AND state IS NULL
    RETURNING id, pool, pool_slots, executor, dag_version_id""")

#: The first of the two alone.
_SCHEDULE = sa.text("""
    UPDATE task_instance task SET state = 'scheduled', scheduled_dttm = :now, updated_at = :now,
        try_number = try_number + 1
    FROM unnest(CAST(:dags AS text[]), CAST(:runs AS text[]), CAST(:tasks AS text[]))
        AS ready (dag_id, run_id, task_id)
    WHERE task.dag_id = ready.dag_id AND task.run_id = ready.run_id AND task.task_id = ready.task_id
        AND task.state IS NULL""")

_DECIDED = sa.text("""
    UPDATE dag_run SET last_scheduling_decision = :now, updated_at = :now, scheduled_by_job_id = :job_id
    WHERE id = ANY(:ids)""")


#: Whether the loop has anything to look after, and when the clock next gives it something. All else that may
#: be begun is announced by a notification (`orrery.database.triggers`).
_QUIET = sa.text("""
    SELECT NOT (
        EXISTS (SELECT FROM dag_run WHERE state = 'running')
        OR EXISTS (SELECT FROM dag_run WHERE state = 'queued')
        OR EXISTS (SELECT FROM asset_dag_run_queue)
        OR EXISTS (SELECT FROM asset_partition_dag_run WHERE created_dag_run_id IS NULL)
        OR EXISTS (SELECT FROM callback WHERE state IS NULL OR state NOT IN ('success', 'failed'))
        OR EXISTS (SELECT FROM connection_test_request WHERE state NOT IN ('success', 'failed'))
    ) AS is_quiet, EXTRACT(EPOCH FROM least(
        (SELECT min(next_dagrun_create_after) FROM dag WHERE NOT is_paused AND NOT is_stale),
        (SELECT min(deadline_time) FROM deadline WHERE NOT missed)
    ) - now())::float AS seconds""")


def seconds_of_quiet(session: Session) -> float | None:
    """Return for how long nothing is due, infinite without an end; None: something is under way or due."""
    is_quiet, seconds = session.execute(_QUIET).one()
    if not is_quiet:
        return None
    if seconds is None:
        return float("inf")
    return float(seconds) if seconds > 0 else None


def lock_runs(session: Session, runs: Iterable[tuple[str, str]]) -> list[RunRow]:
    """Lock runs, of a Dag and run id each.

    Left out is what does not run, may not go on, or is looked at by another scheduler.
    """
    return [RunRow(**row._mapping) for row in session.execute(_LOCK_RUNS, _columns(runs, "dags", "runs"))]


def count_states(session: Session, runs: Iterable[RunRow]) -> dict[int, tuple[dict[str, States], bool]]:
    """Return by run how many instances of each task are in which state, and whether any is of its version."""
    found: dict[int, dict[str, States]] = {run.id: defaultdict(dict) for run in runs}
    current: set[int] = set()
    asked = ((run.id, run.dag_id, run.run_id, run.version_id) for run in runs)
    columns = _columns(asked, "ids", "dags", "runs", "versions")
    columns["versions"] = [None if each is None else str(each) for each in columns["versions"]]
    for run, task_id, state, number, is_current in session.execute(_COUNT, columns):
        found[run][task_id][state] = number
        if is_current:
            current.add(run)
    return {run: (states, run in current) for run, states in found.items()}


def _columns(rows: Iterable[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    """Return rows by column, as a statement takes them."""
    columns = list(zip(*rows, strict=True)) or [() for _ in names]
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def is_anything_scheduled(session: Session) -> bool:
    """Whether tasks wait to be queued, of whichever run."""
    return bool(session.execute(_OTHERS).scalar())


def enter(session: Session) -> Room | None:
    """Enter Airflow's critical section, until the transaction ends; None: another scheduler is in it."""
    lock = sa.text("SELECT pg_try_advisory_xact_lock(:id)")
    if not session.execute(lock, {"id": DBLocks.SCHEDULER_CRITICAL_SECTION.value}).scalar():
        return None
    try:
        pools = Pool.slots_stats(lock_rows=True, session=session)
    except OperationalError as error:
        if is_lock_not_available_error(error=error):
            return None
        raise
    # Without a limit, it is float('inf').
    return Room(
        open={name: int(min(stats["open"], _UNLIMITED)) for name, stats in pools.items()},
        scheduled=sum(stats["scheduled"] for stats in pools.values()),
    )


def queue_ready(session: Session, run: RunRow, tasks: Iterable[str], *, job_id: Any, now: Any) -> list[Any]:
    """Schedule and queue tasks that nothing has happened to yet; return what of them counts."""
    asked = {"dag_id": run.dag_id, "run_id": run.run_id, "tasks": sorted(tasks), "job_id": job_id, "now": now}
    return list(session.execute(_QUEUE, asked))


def schedule_ready(session: Session, ready: Iterable[tuple[str, str, str]], *, now: Any) -> None:
    """Schedule tasks that nothing has happened to yet, of a Dag, run and task id each."""
    session.execute(_SCHEDULE, {**_columns(ready, "dags", "runs", "tasks"), "now": now})


def decided(session: Session, runs: Iterable[RunRow], *, job_id: Any, now: Any) -> None:
    """Note that a scheduler has looked at runs."""
    session.execute(_DECIDED, {"ids": [run.id for run in runs], "job_id": job_id, "now": now})


def schedule_runs(runner: Any, session: Session, runs: Iterable[tuple[str, str]]) -> None:
    """Schedule what is ready in these runs, or end them, as Airflow's loop does with all.

    Those that another scheduler looks at, or that may not go on, are left out, as there.
    """
    asked = (
        sa.select(DagRun)
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .where(
            sa.tuple_(DagRun.dag_id, DagRun.run_id).in_(list(runs)),
            DagRun.state == DagRunState.RUNNING,
            DagRun.run_after <= sa.func.now(),
            DagModel.is_paused.is_(False),
            DagModel.is_stale.is_(False),
        )
    )
    with prohibit_commit(session) as guard:
        locked = with_row_locks(asked, of=DagRun, session=session, skip_locked=True)
        found = list(session.scalars(locked).unique())
        runner._stamp_team_names(found, session)
        method = SchedulerJobRunner._schedule_all_dag_runs
        callbacks = getattr(method, _MARK, method)(runner, guard, found, session)
    for run, callback in callbacks:
        if callback and (dag := runner.scheduler_dag_bag.get_dag_for_run(run, session=session)):
            runner._send_dag_callbacks_to_processor(dag, callback)


def hand_over(runner: Any, session: Session, ids: Iterable[UUID]) -> None:
    """Give queued tasks to the scheduler's only executor, as Airflow does."""
    asked = (
        sa.select(TaskInstance)
        .where(TaskInstance.id.in_(list(ids)))
        .order_by(TaskInstance.priority_weight.desc(), TaskInstance.map_index)
        .options(joinedload(TaskInstance.dag_model))
    )
    tis = list(session.scalars(asked).unique())
    runner.log.info("Queued as soon as they were ready: %s", tis)
    for ti in tis:
        ti.emit_state_change_metric(ti.state)
    runner._enqueue_task_instances_with_queued_state(tis, runner.executors[0], session=session)


def queue_scheduled(runner: Any, session: Session) -> int | None:
    """Queue what is scheduled, of all runs, as Airflow's loop does; return how many that was.

    None: another scheduler is in the critical section.
    """
    with prohibit_commit(session) as guard:
        try:
            queued = runner._critical_section_enqueue_task_instances(session=session)
        except OperationalError as error:
            if not is_lock_not_available_error(error=error):
                raise
            session.rollback()
            return None
        guard.commit()
    return int(queued)


def dag_of(runner: Any, session: Session, version_id: UUID) -> Any:
    """Return a version of a Dag, from the scheduler's cache."""
    return runner.scheduler_dag_bag.get_dag(version_id, session=session)


def most_per_query(runner: Any) -> int:
    """Return how many tasks Airflow queues in one critical section; 0: as many as there is room for."""
    return int(runner.job.max_tis_per_query)
