"""A program: what the scheduler makes of executor events, printed as JSON (state before, state after).

The database (SQLite), the scheduler's method, the execution API and the trigger's event are Airflow's own;
each task goes through the steps of its story. The folder of DAGs is in the environment.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow import models, settings
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.jobs.triggerer_job_runner import in_process_api_server
from airflow.models.base import Base
from airflow.models.dagbag import DBDagBag
from airflow.models.trigger import Trigger
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time.comms import DeferTask
from airflow.triggers.base import TriggerEvent
from airflow.utils.db import synchronize_log_template
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

JOB = 1
NOW = datetime(2026, 1, 1, tzinfo=UTC)
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
    session, dags, run = a_run()
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


def a_run() -> tuple[Any, Any, Any]:
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    folder.mkdir()
    (folder / "d.py").write_text(DAG)
    models.import_all_models()
    Base.metadata.create_all(settings.engine)
    session = settings.Session()
    synchronize_log_template(session=session)
    DagBundlesManager().sync_bundles_to_db(session=session)
    session.commit()
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None, session=session)
    session.commit()
    dags = DBDagBag()
    run = dags.get_latest_version_of_dag("d", session=session).create_dagrun(
        run_id="r",
        run_type=DagRunType.MANUAL,
        logical_date=NOW,
        data_interval=(NOW, NOW),
        run_after=NOW,
        state=DagRunState.RUNNING,
        triggered_by=DagRunTriggeredByType.TEST,
        session=session,
    )
    session.commit()
    return session, dags, run


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
