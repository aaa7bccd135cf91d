"""A heartbeat through the whole of Airflow: parsed, scheduled, queued, executed and recorded."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable

from orrery.config.settings import MONITORING_SCHEDULE, monitoring_schedule
from orrery.monitoring.policy import SYSTEM_POOL
from orrery.monitoring.schedule import schedule_from

log = logging.getLogger(__name__)

ABOUT = f"""
### Orrery's heartbeat

Every five minutes one small task goes the way of every task: through the DAG processor, the scheduler,
the executor and the API server. When its last success is old, something on that way is broken.

It uses its own pool (`{SYSTEM_POOL}`) and the highest priority, so that a busy deployment does not look like
a broken one. Set `{MONITORING_SCHEDULE}` to a cron expression (in UTC) for another rhythm.
"""


class Heartbeat(BaseOperator):  # type: ignore[misc]
    """Prove that a task runs; needs no network, writes no XCom, imports nothing."""

    ui_color = "#e8f0ff"

    def execute(self, context: Any) -> None:
        """Leave one line in the log."""
        self.log.info("Orrery's heartbeat of run %s", context["run_id"])


schedule = schedule_from(monitoring_schedule())
if schedule.problem:
    log.warning(schedule.problem)

with DAG(
    "orrery_monitoring_dag",
    # No start date and run_immediately: a fresh deployment is proven at once, not at the next tick.
    schedule=CronTriggerTimetable(schedule.cron, timezone="UTC", run_immediately=True),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    # A run that hangs must not hold back the next ones for long.
    dagrun_timeout=timedelta(minutes=10),
    description="Orrery's heartbeat" + (f". WARNING: {schedule.problem}" if schedule.problem else ""),
    doc_md=(f"> **Wrong schedule.** {schedule.problem}\n" if schedule.problem else "") + ABOUT,
    tags=["orrery", "monitoring", *(["wrong-schedule"] if schedule.problem else [])],
    default_args={"owner": "orrery"},
):
    Heartbeat(
        task_id="heartbeat",
        pool=SYSTEM_POOL,
        priority_weight=2**31 - 1,
        weight_rule="absolute",
        execution_timeout=timedelta(minutes=1),
        do_xcom_push=False,
        retries=0,
    )
