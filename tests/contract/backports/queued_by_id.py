"""A program: what Airflow's scheduler queues of a large run and some small ones, printed as JSON.

Told besides: how many rows PostgreSQL reads and drops to find it.
"""

from __future__ import annotations

import json
from typing import Any

from airflow import settings
from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import delete, event, text, update
from tests.contract.stored import NOW, begin, store

DAGS = """
from airflow.sdk import DAG, task

@task
def work(n=0):
    pass

with DAG("large", schedule=None, max_active_tasks=300):
    work.expand(n=list(range(300)))
with DAG("weights", schedule=None):
    for n in range(4):
        work.override(task_id=f"w{n}", priority_weight=n, weight_rule="absolute")()
with DAG("few", schedule=None, max_active_tasks=1):
    for n in range(3):
        work.override(task_id=f"f{n}", priority_weight=8 - n)()
with DAG("full", schedule=None):
    work.override(pool="full", priority_weight=9)()
with DAG("paused", schedule=None):
    work.override(priority_weight=9)()
"""
TOGETHER = 28


def main() -> None:
    session = settings.Session()
    session.execute(delete(DagRun))
    # What it knows of the tables decides how PostgreSQL looks for rows: here nothing, as when they are new.
    session.execute(text("ALTER TABLE task_instance SET (autovacuum_enabled = false)"))
    Pool.create_or_update_pool("full", slots=0, description="", include_deferred=False, session=session)
    session.commit()
    bag = store(session, DAGS)
    job = Job()
    session.add(job)
    session.commit()
    executor = BaseExecutor(parallelism=1000)
    runner = SchedulerJobRunner(job=job, executors=[executor])
    for day, dag_id in enumerate(sorted(bag.dags)):
        begin(runner.scheduler_dag_bag, session, dag_id, "a_run", day=NOW.replace(day=day + 1))
    session.execute(update(TaskInstance).values(state="scheduled"))
    session.execute(update(DagModel).values(is_paused=DagModel.dag_id == "paused"))
    session.commit()
    asked: list[Any] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *given: asked.append(given[1:4]))
    chosen = runner._executable_task_instances_to_queued(TOGETHER, session=session)
    told = [[ti.dag_id, ti.task_id, ti.map_index] for ti in chosen]
    session.rollback()
    statements = [given for given in asked if "row_number()" in given[1]]
    answer = {"chosen": told, "dropped": [dropped(session, *each[1:]) for each in statements]}
    print("ANSWER" + json.dumps(answer))


def dropped(session: Any, statement: str, values: Any) -> int:
    """Return how many rows a statement reads and drops, in all its steps."""
    cursor = session.connection().connection.cursor()
    cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
    [[plan]] = cursor.fetchone()
    pending, rows = [plan["Plan"]], 0
    while pending:
        step = pending.pop()
        pending += step.get("Plans", [])
        rows += sum(
            int(step[name] * step["Actual Loops"]) for name in step if name.startswith("Rows Removed by")
        )
    return rows


if __name__ == "__main__":
    main()
