"""A program: what the scheduler makes of executor events, printed as JSON (state before, state after).

The database (SQLite), the scheduler's method, the execution API and the trigger's event are Airflow's own;
each task goes through the steps of its story. The folder of DAGs is in the environment.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.jobs.triggerer_job_runner import in_process_api_server
from airflow.models.trigger import Trigger
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time.comms import DeferTask
from airflow.triggers.base import TriggerEvent
from airflow.utils.state import TaskInstanceState
from tests.contract.stored import NOW, begin_on_sqlite

JOB = 1
DEFERRED = ("queue", "run", "defer")
RESUMED = (*DEFERRED, "fire")
STORIES = {
    "deferred": (*DEFERRED, "success"),
    "resumed_and_scheduled": (*RESUMED, "success"),
    "resumed_and_queued": (*RESUMED, "queue", "success"),
    "resumed_and_running": (*RESUMED, "queue", "run", "success"),
    "resumed_and_running_and_failed": (*RESUMED, "queue", "run", "failure"),
    "resumed_and_queued_and_failed": (*RESUMED, "queue", "failure"),
    "queued": ("queue", "success"),
    "running": ("queue", "run", "success"),
}
DAG = f"""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("d", schedule=None):
    for name in {list(STORIES)}:
        EmptyOperator(task_id=name)
"""


class Executor(BaseExecutor):  # type: ignore[misc]
    """An executor that runs nothing: its events are made by hand."""

    def _process_workloads(self, workloads: Any) -> None:
        pass


def main() -> None:
    session, dags, run = begin_on_sqlite(DAG)
    executor = Executor()
    api = Client(base_url=None, token="", dry_run=True, transport=in_process_api_server().transport)
    api.base_url = "http://in-process.invalid./"
    tasks = {ti.task_id: ti for ti in run.get_task_instances(session=session)}
    for name, steps in STORIES.items():
        ti = tasks[name]
        ti.try_number = 1
        for step in steps:
            take(step, ti, session, executor, api)
            session.commit()
            session.expire_all()
    before = states(tasks)
    SchedulerJobRunner.process_executor_events(
        executor=executor, job_id=JOB, scheduler_dag_bag=dags, session=session
    )
    session.commit()
    session.expire_all()
    after = states(tasks)
    print("ANSWER" + json.dumps({name: [before[name], after[name]] for name in STORIES}))


def states(tasks: dict[str, Any]) -> dict[str, str]:
    return {name: str(ti.state) for name, ti in tasks.items()}


def take(step: str, ti: Any, session: Any, executor: Executor, api: Any) -> None:
    """Take one step of a task's life, as the component does whose step it is."""
    match step:
        case "queue":  # the scheduler
            ti.state = TaskInstanceState.QUEUED
            ti.queued_by_job_id = JOB
        case "run":  # the task's supervisor
            session.commit()
            api.task_instances.start(ti.id, 1, NOW)
        case "defer":  # likewise
            trigger = DeferTask(
                classpath="x.Y", next_method="execute_complete", trigger_kwargs={}, next_kwargs={}
            )
            session.commit()
            api.task_instances.defer(ti.id, trigger)
        case "fire":  # the triggerer
            Trigger.submit_event(ti.trigger_id, TriggerEvent(1), session=session)
        case "success":  # the executor
            executor.success(ti.key)
        case "failure":
            executor.fail(ti.key)


if __name__ == "__main__":
    main()
