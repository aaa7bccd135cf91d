"""A program: what the scheduler makes of the packing executor's events, printed as JSON (before, after).

The database (SQLite) and the scheduler's method are Airflow's own.
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
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.base import Base
from airflow.models.dagbag import DBDagBag
from airflow.utils.db import synchronize_log_template
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

from orrery.executor.executor import PackingExecutor
from orrery.executor.job import Finished, Job
from orrery.executor.protocol import Ended
from orrery.executor.request import Request
from orrery.executor.resources import Resources

JOB = 1
NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Name: (state in the database, retries, how the agent says that it ended).
STORIES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "finished": ("success", 0, {"ending": "finished"}),
    "finished_and_deferred": ("deferred", 0, {"ending": "finished"}),
    "finished_and_queued_again": ("queued", 0, {"ending": "finished"}),
    "killed_and_told": ("failed", 0, {"ending": "signal"}),
    "killed_with_retries": ("running", 1, {"ending": "signal", "needs_judgement": True}),
    "lost_while_queued": ("queued", 0, {"ending": "lost"}),
    "lost_while_running": ("running", 0, {"ending": "lost"}),
    "lost_with_retries": ("running", 1, {"ending": "lost"}),
    "lost_but_told": ("success", 0, {"ending": "lost"}),
    "lost_but_marked_failed": ("failed", 0, {"ending": "lost"}),
    "lost_but_cleared": ("None", 0, {"ending": "lost"}),
    "refused": ("success", 0, {"ending": "refused"}),
}
DAG = f"""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("d", schedule=None):
    for name, retries in {[(name, story[1]) for name, story in STORIES.items()]}:
        EmptyOperator(task_id=name, retries=retries)
"""


def main() -> None:
    session, dags, run = a_run()
    executor = PackingExecutor(parallelism=10)
    executor.job_id = JOB
    tasks = {ti.task_id: ti for ti in run.get_task_instances(session=session)}
    for name, (state, _, said) in STORIES.items():
        ti = tasks[name]
        ti.try_number = 1
        ti.state = None if state == "None" else TaskInstanceState(state)
        ti.queued_by_job_id = JOB
        ti.start_date = NOW
        session.commit()
        job = a_job(ti)
        executor._jobs[job.id] = job
        executor.running.add(job.key)
        executor._note(Finished(job=job, ended=Ended(id=job.id, **said), node="node-1"))
    before = states(tasks)
    events = sorted(key.task_id for key in executor.event_buffer)
    SchedulerJobRunner.process_executor_events(
        executor=executor, job_id=JOB, scheduler_dag_bag=dags, session=session
    )
    session.commit()
    session.expire_all()
    after = states(tasks)
    answer = {
        "states": {name: [before[name], after[name]] for name in STORIES},
        "events": events,
        "running": len(executor.running),
    }
    print("ANSWER" + json.dumps(answer))


def states(tasks: dict[str, Any]) -> dict[str, str]:
    return {name: str(ti.state) for name, ti in tasks.items()}


def a_job(ti: Any) -> Job:
    return Job(
        id=f"job of {ti.task_id}",
        key=ti.key,
        render=None,
        request=Request(resources=Resources()),
        queue="default",
        priority=1,
        bundle="",
        queued_at=NOW,
    )


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


if __name__ == "__main__":
    main()
