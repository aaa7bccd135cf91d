"""A program: each story of a run told twice, by a turn of ours and by Airflow's own loop; printed as JSON.

The database is PostgreSQL; the scheduler, its loop and its locks are Airflow's own.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow import settings
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.asset import AssetDagRunQueue, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from airflow.utils.db import DBLocks
from airflow.utils.state import DagRunState
from sqlalchemy import select, text, update
from tests.contract.stored import NOW, begin, store

from orrery.executor import scheduler_compat
from orrery.executor.executor import PackingExecutor
from orrery.executor.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAGS = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, setup, task, teardown

@task
def work(*_, **__):
    pass

def dag(name, **more):
    return DAG(name, schedule=None, is_paused_upon_creation=False, **more)

def diamond(name, d=None, more=None, **how):
    with dag(name, **(more or {})):
        a, b, c = (work.override(task_id=each, **how)() for each in "abc")
        a >> [b, c] >> (d or (lambda: work.override(task_id="d", **how)()))()

diamond("diamond")
diamond("weights", priority_weight=7, weight_rule="absolute", queue="another", pool_slots=2)
diamond("narrow", pool="narrow")
diamond("few", more={"max_active_tasks": 1})
diamond("all_done", lambda: work.override(task_id="d", trigger_rule="all_done")())
diamond("one_success", lambda: work.override(task_id="d", trigger_rule="one_success")())
diamond("past", depends_on_past=True)
diamond("one_at_a_time", max_active_tis_per_dag=1)
diamond("empty", lambda: EmptyOperator(task_id="d"))
diamond("mapped", lambda: work.override(task_id="d").expand(n=[1, 2]))
with dag("set_up"):
    work.override(task_id="a")() >> work.override(task_id="b")().as_teardown(
        setups=work.override(task_id="s")().as_setup()
    )
"""
A_DONE = {"a": "success"}
B_DONE = A_DONE | {"b": "success"}
#: By name: the Dag, and what states its tasks are in. What is not named has none yet.
STORIES: dict[str, tuple[str, dict[str, str]]] = {
    "two are ready": ("diamond", A_DONE),
    "the first of a run": ("diamond", {}),
    "one is not done": ("diamond", B_DONE | {"c": "running"}),
    "one waits for an event": ("diamond", B_DONE | {"c": "deferred"}),
    "one waits for its retry": ("diamond", B_DONE | {"c": "up_for_retry"}),
    "the last is ready": ("diamond", B_DONE | {"c": "success"}),
    "the run is over": ("diamond", B_DONE | {"c": "success", "d": "success"}),
    "one has failed": ("diamond", A_DONE | {"b": "failed"}),
    "one was skipped": ("diamond", A_DONE | {"b": "skipped"}),
    "weights, queue and slots": ("weights", A_DONE),
    "a pool without room": ("narrow", A_DONE),
    "no more tasks at a time": ("few", A_DONE | {"b": "running"}),
    "all are done": ("all_done", B_DONE | {"c": "success"}),
    "another rule": ("one_success", A_DONE),
    "depends on the past": ("past", A_DONE),
    "one of a task at a time": ("one_at_a_time", A_DONE),
    "a task that is none": ("empty", B_DONE | {"c": "success"}),
    "a mapped task": ("mapped", B_DONE | {"c": "success"}),
    "before a mapped task": ("mapped", A_DONE),
    "set up and torn down": ("set_up", A_DONE),
}
#: Airflow's loop counts these by itself; times and ids differ from run to run.
KEPT = ("state", "try_number", "pool", "pool_slots", "queue", "priority_weight", "map_index", "max_tries")


def main() -> None:
    session = prepare()
    runner = a_scheduler(session)
    turns = Turns(runner)
    told = {name: story(session, runner, turns, *STORIES[name]) for name in STORIES}
    answer = {"stories": told, **special(session, runner, turns)}
    print("ANSWER" + json.dumps(answer))


class Executor(PackingExecutor):
    """Without an agent: all that it is given it keeps."""

    slots_available = 100

    def __init__(self) -> None:
        super().__init__(parallelism=100)
        self.given: list[str] = []
        self._dispatcher = SimpleNamespace(  # type: ignore[assignment]
            add=lambda job: self.given.append(job.details["task_id"]),
            go=lambda: None,
            nodes=list,
            counts=lambda: (0, 0),
            wake=os.eventfd(0),
        )


def prepare(source: str = DAGS) -> Any:
    session = settings.Session()
    Pool.create_or_update_pool("narrow", slots=1, description="", include_deferred=False, session=session)
    session.commit()
    store(session, source)
    return session


def a_scheduler(session: Any) -> SchedulerJobRunner:
    job = Job()
    session.add(job)
    session.commit()
    executor = Executor()
    executor.job_id = job.id
    return SchedulerJobRunner(job=job, executors=[executor])


def a_run(
    session: Any, runner: SchedulerJobRunner, dag_id: str, run_id: str, states: dict[str, str], **more: Any
) -> DagRun:
    day = NOW - timedelta(days=session.query(DagRun).count())
    made: DagRun = begin(runner.scheduler_dag_bag, session, dag_id, run_id, day=day, **more)
    for ti in made.get_task_instances(session=session):
        ti.state = states.get(ti.task_id)
        if ti.state:
            ti.try_number, ti.start_date = 1, NOW
    session.commit()
    return made


def rows(session: Any, dag_id: str, run_id: str) -> list[list[Any]]:
    session.rollback()
    session.expire_all()
    found = session.scalars(
        select(TaskInstance)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .order_by(TaskInstance.task_id, TaskInstance.map_index)
    )
    return [
        [
            ti.task_id,
            *(getattr(ti, name) for name in KEPT),
            ti.queued_by_job_id is not None,
            ti.scheduled_dttm is not None,
            ti.queued_dttm is not None,
            ti.external_executor_id is not None,
        ]
        for ti in found
    ]


def story(
    session: Any, runner: SchedulerJobRunner, turns: Turns, dag_id: str, states: dict[str, str]
) -> dict[str, Any]:
    """Let a turn go on with one run, and Airflow's loop with another that is like it."""
    executor: Any = runner.executors[0]
    told: dict[str, Any] = {}
    for how in ("turn", "loop"):
        run_id = f"{how}-{session.query(DagRun).count()}"
        a_run(session, runner, dag_id, run_id, states)
        before = rows(session, dag_id, run_id)
        executor.queued_tasks.clear()
        if how == "turn":
            told["is_done"] = turns.take([(dag_id, run_id)])
            told["turn alone"] = [row[1] for row in rows(session, dag_id, run_id)]
            queue_the_rest(turns)
        else:
            with the_loop() as loop:
                loop(runner)
        told[how] = rows(session, dag_id, run_id)
        told[f"{how} run"] = state_of(session, dag_id, run_id)
        told[f"{how} queued"] = sorted(key.task_id for key in executor.queued_tasks)
        told[f"{how} changed"] = told[how] != before
        end(session, dag_id)
    return told


def state_of(session: Any, dag_id: str, run_id: str) -> str:
    return str(session.scalar(select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)))


def crowd(session: Any, runner: SchedulerJobRunner, turns: Turns) -> dict[str, Any]:
    """Let seven runs go on and one end at once, where the pool has room for eight tasks in all."""
    executor: Any = runner.executors[0]
    told: dict[str, Any] = {}
    Pool.create_or_update_pool(
        "default_pool", slots=8, description="", include_deferred=False, session=session
    )
    for how in ("turn", "loop"):
        executor.queued_tasks.clear()
        names = [("diamond", f"crowd-{how}-{number}") for number in range(7)]
        over = ("diamond", f"crowd-{how}-over")
        for dag_id, run_id in names:
            a_run(session, runner, dag_id, run_id, A_DONE)
        a_run(session, runner, *over, B_DONE | {"c": "success", "d": "success"})
        a_run(session, runner, "diamond", f"crowd-{how}-waits", {"a": "scheduled"})
        if how == "turn":
            told["is_done"] = turns.take([*names, over])
            told["alone"] = states_of(session, "crowd-turn-%")
            told["run that was over"] = state_of(session, *over)
            queue_the_rest(turns)
        else:
            with the_loop() as loop:
                loop(runner)
        told[f"by {'a turn' if how == 'turn' else 'the loop'}"] = states_of(session, f"crowd-{how}-%")
        end(session, "diamond")
    Pool.create_or_update_pool(
        "default_pool", slots=128, description="", include_deferred=False, session=session
    )
    return told


def states_of(session: Any, run_ids: str) -> dict[str, int]:
    """Return how many tasks are in which state, but for those that nothing has happened to."""
    session.rollback()
    found = session.execute(
        text(
            "SELECT state, count(*) FROM task_instance"
            " WHERE run_id LIKE :ids AND state IS NOT NULL GROUP BY state"
        ),
        {"ids": run_ids},
    )
    return dict(sorted((str(state), int(number)) for state, number in found))


def queue_the_rest(turns: Turns) -> None:
    """Do what the executor does after a turn."""
    while turns.is_more_scheduled and turns.queue_scheduled():
        pass


@contextmanager
def the_loop() -> Iterator[Callable[[SchedulerJobRunner], None]]:
    session = settings.Session()

    def loop(runner: SchedulerJobRunner) -> None:
        # Once to schedule, and once more for what that has expanded.
        for _ in range(2):
            runner._do_scheduling(session)
            session.commit()

    try:
        yield loop
    finally:
        session.close()


def end(session: Any, dag_id: str) -> None:
    """Leave nothing that the next story would see."""
    session.rollback()
    for table in (TaskInstance, DagRun):
        session.execute(update(table).where(table.dag_id == dag_id).values(state="success"))
    session.commit()


def special(session: Any, runner: SchedulerJobRunner, turns: Turns) -> dict[str, Any]:
    """Return what becomes of a run that cannot be told as a story."""
    told: dict[str, Any] = {}

    def attempt(name: str, meanwhile: Callable[[Any], None] | None = None, **more: Any) -> None:
        run_id = f"special-{name.replace(' ', '-')}"
        a_run(session, runner, "diamond", run_id, A_DONE, **more)
        other = settings.NonScopedSession()
        try:
            if meanwhile is not None:
                meanwhile(other)
            done = turns.take([("diamond", run_id)])
        finally:
            other.rollback()
            other.close()
        told[name] = [done, [row[1] for row in rows(session, "diamond", run_id)]]
        end(session, "diamond")

    def paused(value: bool) -> Callable[[Any], None]:
        def change(other: Any) -> None:
            other.get(DagModel, "diamond").is_paused = value
            other.commit()

        return change

    attempt("nothing special")
    attempt("not begun", state=DagRunState.QUEUED)
    attempt("paused", paused(True))
    paused(False)(session)
    attempt("locked", lambda other: other.execute(text("SELECT FROM dag_run FOR UPDATE")))
    key = DBLocks.SCHEDULER_CRITICAL_SECTION.value
    attempt(
        "another in the critical section",
        lambda other: other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key}),
    )
    attempt("pools locked", lambda other: other.execute(text("SELECT FROM slot_pool FOR UPDATE")))

    def somebody_waits(other: Any) -> None:
        a_run(other, runner, "weights", "waits", {"a": "scheduled"})

    attempt("others are scheduled", somebody_waits)
    end(session, "weights")

    def other_version(other: Any) -> None:
        other.execute(text("UPDATE task_instance SET dag_version_id = NULL WHERE run_id LIKE 'special%'"))
        other.commit()

    attempt("of another version", other_version)
    other = settings.NonScopedSession()
    other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    told["queued beside another"] = turns.queue_scheduled()
    other.rollback()
    other.close()
    told["a crowd"] = crowd(session, runner, turns)
    told["a freed slot"] = freed_slot(session, runner, turns)
    told["by its name"] = by_name(session, runner)
    told["quiet"] = quiet(session, runner, turns)
    told["pace"] = pace(runner)
    return told


def freed_slot(session: Any, runner: SchedulerJobRunner, turns: Turns) -> list[Any]:
    """Let a success start nothing in its own run, without and with another's task that waits for its slot."""
    told: list[Any] = []
    a_run(session, runner, "diamond", "frees", B_DONE | {"c": "running"})
    for is_waiting in (False, True):
        if is_waiting:
            a_run(session, runner, "narrow", "waits-for-it", {"a": "scheduled"})
        done = turns.take([("diamond", "frees")])
        told.append([done, turns.is_more_scheduled, turns.queue_scheduled()])
    told.append([row[1] for row in rows(session, "narrow", "waits-for-it")])
    end(session, "diamond")
    end(session, "narrow")
    return told


def quiet(session: Any, runner: SchedulerJobRunner, turns: Turns) -> dict[str, Any]:
    """For how long nothing is due, and how long the executor sleeps, while this and that is so."""
    executor: Any = runner.executors[0]
    listener = SimpleNamespace(is_listening=True)
    executor._recorder = SimpleNamespace(listener=listener)
    executor._turns = turns
    executor._jobs.clear()
    told: dict[str, Any] = {}

    def note(name: str) -> None:
        session.commit()
        seconds = turns.seconds_of_quiet()
        told[name] = [None if seconds is None else min(seconds, 1e6), executor._longest_sleep()]

    def say(statement: str, **more: Any) -> None:
        session.execute(text(statement), more)

    note("nothing")
    executor._jobs["x"] = None
    note("a task of ours")
    executor._jobs.clear()
    listener.is_listening = False
    note("nobody listens")
    listener.is_listening = True
    executor._turns = None
    note("another executor")
    executor._turns = turns

    a_run(session, runner, "diamond", "under-way", {})
    note("a run")
    say("UPDATE dag_run SET state = 'queued' WHERE run_id = 'under-way'")
    note("a queued run")
    end(session, "diamond")

    for name, seconds in (("in a while", 500), ("soon", 2), ("by now", -5)):
        say("UPDATE dag SET next_dagrun_create_after = now() + make_interval(secs => :s)", s=seconds)
        note(f"due {name}")
    say("UPDATE dag SET is_paused = true")
    note("due, but paused")
    say("UPDATE dag SET is_paused = false, next_dagrun_create_after = NULL")

    asset = AssetModel(name="a", uri="a://a", group="")
    session.add(asset)
    session.flush()
    session.add(AssetDagRunQueue(asset_id=asset.id, target_dag_id="diamond"))
    note("an asset's event")
    say("DELETE FROM asset_dag_run_queue")

    say(
        "INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at)"
        " VALUES (gen_random_uuid(), 'executor', 'import_path', '{}', 'scheduled', 1, now())"
    )
    note("a callback")
    say("UPDATE callback SET state = 'success'")
    note("a callback that is over")
    say(
        "INSERT INTO deadline (id, created_at, last_updated_at, deadline_time, missed, callback_id)"
        " SELECT gen_random_uuid(), now(), now(), now() + interval '3 s', false, id FROM callback"
    )
    note("a deadline")
    say("UPDATE deadline SET missed = true")
    note("a deadline that was missed")
    say("DELETE FROM deadline")
    return told


def pace(runner: SchedulerJobRunner) -> dict[str, Any]:
    """How long the loop sleeps after one that took long, and when more is queued while nodes are full."""
    executor: Any = runner.executors[0]
    asked: list[str] = []

    def queue_scheduled() -> int:
        asked.append("queue")
        return 0

    told: dict[str, Any] = {}
    listener = SimpleNamespace(is_listening=True)
    executor._recorder = SimpleNamespace(listener=listener)
    executor._turns = SimpleNamespace(is_more_scheduled=True, queue_scheduled=queue_scheduled)
    for took in (0.0, 0.1, 0.5, 5.0):
        executor._loop_took = took
        told[f"a loop of {took} s"] = executor._loop_pause()
    listener.is_listening = False
    told["nobody listens"] = executor._loop_pause()
    executor._loop_took = 0.0
    for waiting, placed in ((0, 10), (31, 10), (118, 10), (118, 100)):
        executor._dispatcher.counts = lambda counts=(waiting, placed): counts
        executor._next_refill = 0.0
        asked.clear()
        told[f"{waiting} wait, {placed} run"] = [executor._refill(), executor._refill(), len(asked)]
    for waiting in (8, 118):
        left = [0, 7, 5]
        executor._turns.queue_scheduled = left.pop
        executor._dispatcher.counts = lambda counts=(waiting, 3): counts
        executor._next_refill = 0.0
        told[f"12 are scheduled, {waiting} wait"] = [executor._refill(), left]
    executor._turns.queue_scheduled = lambda: None
    executor._next_refill = 0.0
    told["another scheduler queues"] = executor._refill()
    executor._turns = None
    executor._dispatcher.counts = lambda: (0, 0)
    return told


def by_name(session: Any, runner: SchedulerJobRunner) -> list[Any]:
    """Let the executor hear notifications, and tell what it has done and what it has handed over."""
    executor: Any = runner.executors[0]
    executor.queued_tasks.clear()
    a_run(session, runner, "diamond", "named", A_DONE)
    heard: list[set[str]] = []
    executor._recorder = SimpleNamespace(listener=SimpleNamespace(take=heard.pop, drain=lambda: False))
    told: list[Any] = []
    for payloads in ({"diamond\nnamed"}, {""}, {"diamond\nnamed", ""}, {"diamond\nno such run"}):
        heard.append(payloads)
        executor.given.clear()
        # It learns of its scheduler when the first loop begins.
        if not told:
            scheduler_compat.watch_loops()
            with the_loop() as loop:
                session.execute(text("UPDATE dag_run SET state = 'queued' WHERE run_id = 'named'"))
                session.execute(text("UPDATE dag SET is_paused = true WHERE dag_id = 'diamond'"))
                session.commit()
                loop(runner)
                session.execute(text("UPDATE dag SET is_paused = false WHERE dag_id = 'diamond'"))
                session.execute(text("UPDATE dag_run SET state = 'running' WHERE run_id = 'named'"))
                session.commit()
        told.append([executor._advance(), sorted(executor.given)])
    end(session, "diamond")
    return told


if __name__ == "__main__":
    main()
