"""A program: each story told to Airflow's loop as it is, and to the one that leaves plain runs out; as JSON.

The database is PostgreSQL; the scheduler, its loop and its locks are Airflow's own.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError
from tests.contract.scheduler.turns import (
    A_DONE,
    DAGS,
    STORIES,
    a_run,
    a_scheduler,
    end,
    prepare,
    rows,
    state_of,
    the_loop,
)
from tests.contract.stored import NOW

from orrery.executor import scheduler_compat

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

TIMED = """
from datetime import timedelta
diamond("timed", more={"dagrun_timeout": timedelta(hours=1)})
"""


def long_ago(session: Any, run: DagRun) -> None:
    session.execute(update(DagRun).where(DagRun.id == run.id).values(start_date=NOW))


def without_a(session: Any, run: DagRun) -> None:
    session.execute(
        delete(TaskInstance).where(TaskInstance.run_id == run.run_id, TaskInstance.task_id == "a")
    )


#: By name: the Dag, the states of its tasks, and what is done to the run before the loop.
MORE: dict[str, tuple[str, dict[str, str], Callable[[Any, DagRun], None] | None]] = {
    **{name: (*story, None) for name, story in STORIES.items()},
    "the time is up": ("timed", A_DONE, long_ago),
    "the time is not up": ("timed", A_DONE, None),
    "the first task has no row": ("diamond", {}, without_a),
}


class Watched:
    """In front of the executor's: notes which runs it leaves to Airflow."""

    def __init__(self, executor: Any) -> None:
        self.left: list[list[str]] = []
        self.errors: list[Exception] = []
        self._schedule_plain = executor.schedule_plain
        executor.schedule_plain = self.schedule_plain

    def schedule_plain(self, session: Any, runs: Any) -> Any:
        if self.errors:
            raise self.errors.pop()
        left = self._schedule_plain(session, runs)
        self.left.append([run.run_id for run in left])
        return left


def main() -> None:
    session = prepare(DAGS + TIMED)
    runner = a_scheduler(session)
    sink: Any = SimpleNamespace(sent=[])
    sink.send = sink.sent.append
    runner.executors[0].callback_sink = sink
    stock = {name: story(session, runner, "stock", name) for name in MORE}
    # From now on a loop tells the executor who it is, and asks it for the plain runs.
    scheduler_compat.watch_loops()
    scheduler_compat.watch_loops()
    watched = Watched(runner.executors[0])
    ours = {}
    for name in MORE:
        watched.left.clear()
        ours[name] = story(session, runner, "ours", name) | {"judged": bool(watched.left[0])}
    answer = {"stock": stock, "ours": ours, "due": due(session, runner, watched)}
    print("ANSWER" + json.dumps(answer | {"troubles": troubles(session, runner, watched)}))


def story(session: Any, runner: SchedulerJobRunner, how: str, name: str) -> dict[str, Any]:
    """Let the loop go on with a run."""
    dag_id, states, change = MORE[name]
    executor: Any = runner.executors[0]
    executor.queued_tasks.clear()
    executor.callback_sink.sent.clear()
    run_id = f"{how}-{session.query(DagRun).count()}"
    run = a_run(session, runner, dag_id, run_id, states)
    if change is not None:
        change(session, run)
        session.commit()
    with the_loop() as loop:
        loop(runner)
    told = {
        "rows": rows(session, dag_id, run_id),
        "run": state_of(session, dag_id, run_id),
        "queued": sorted(key.task_id for key in executor.queued_tasks),
        "callbacks": [type(each).__name__ for each in executor.callback_sink.sent],
        "is_decided": is_decided(session, runner, run_id),
    }
    end(session, dag_id)
    return told


def is_decided(session: Any, runner: SchedulerJobRunner, run_id: str) -> bool:
    """Whether the run says which scheduler has looked at it, and when."""
    asked = select(DagRun.last_scheduling_decision, DagRun.scheduled_by_job_id).where(DagRun.run_id == run_id)
    at, job_id = session.execute(asked).one()
    return at is not None and job_id == runner.job.id


def due(session: Any, runner: SchedulerJobRunner, watched: Watched) -> list[int]:
    """Return how many of twelve plain runs Airflow judges: at first, when all are due, and later."""
    plain: Any = runner.executors[0]._plain_runs
    for number in range(12):
        a_run(session, runner, "diamond", f"due-{number}", {"a": "running"})
    watched.left.clear()
    with the_loop() as loop:
        loop(runner)
        for run in plain._due:
            plain._due[run] = 0.0
        loop(runner)
        loop(runner)
    end(session, "diamond")
    return [len(left) for left in watched.left]


def troubles(session: Any, runner: SchedulerJobRunner, watched: Watched) -> dict[str, Any]:
    """What becomes of a run when the database refuses once, and when a run cannot be judged."""
    told = {}
    two_ready = "two are ready"
    watched.errors.append(OperationalError("no statement", {}, Exception("a deadlock")))
    told["the database refuses once"] = story(session, runner, "ours", two_ready)
    turns: Any = runner.executors[0]._turns
    turns.ready = None  # so that to call it is an error
    told["an error of ours"] = story(session, runner, "ours", two_ready)
    return told


if __name__ == "__main__":
    main()
