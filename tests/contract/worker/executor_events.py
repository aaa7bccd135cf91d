"""A program: what the scheduler makes of the packing executor's events, printed as JSON (before, after).

The database (SQLite) and the scheduler's method are Airflow's own.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.utils.state import TaskInstanceState
from tests.contract.stored import NOW, begin_on_sqlite

from orrery.executor.executor import PackingExecutor
from orrery.executor.job import Finished, Job
from orrery.executor.protocol import Ended
from orrery.executor.request import Request
from orrery.executor.resources import Resources

JOB = 1
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
    session, dags, run = begin_on_sqlite(DAG)
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


if __name__ == "__main__":
    main()
