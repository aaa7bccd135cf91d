"""The table of components: what runs, how it is probed, how long it may take to stop.

One row drives every consumer: the process manager of a local deployment, its status and its probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """One component of a deployment."""

    name: str
    #: Arguments of the `airflow` command; None for a program that is not Airflow's.
    #: `{host}` and `{port}` are filled in.
    airflow_arguments: tuple[str, ...] | None
    #: The module that runs instead, with `python -m`; None for a command of Airflow's.
    module: str | None = None
    #: Its key in Airflow's /api/v2/monitor/health, when it sends heartbeats there.
    health_key: str | None = None
    #: Its `job_type` in Airflow's table of jobs.
    job_type: str | None = None
    #: How its start is known to be over.
    probe: Literal["http", "heartbeat", "ready", "socket"] = "heartbeat"
    #: How long it may take to stop, in seconds, before it is killed.
    grace_seconds: int = 6
    #: The signal that asks it to stop.
    stop_signal: Literal["TERM", "INT"] = "TERM"


POSTGRES = Component(name="postgres", airflow_arguments=None, probe="ready", stop_signal="INT")

#: The agent that runs the tasks of the packing executor; with another executor there is none.
WORKER = Component(name="worker", airflow_arguments=None, module="orrery.worker", probe="socket")

AIRFLOW_COMPONENTS: tuple[Component, ...] = (
    Component(
        name="api-server",
        airflow_arguments=("api-server", "--host", "{host}", "--port", "{port}"),
        probe="http",
        grace_seconds=4,
    ),
    # Task logs lie on this machine's disk, where the api-server reads them itself: no log servers.
    Component(
        name="scheduler",
        airflow_arguments=("scheduler", "--skip-serve-logs"),
        health_key="scheduler",
        job_type="SchedulerJob",
    ),
    Component(
        name="dag-processor",
        airflow_arguments=("dag-processor",),
        health_key="dag_processor",
        job_type="DagProcessorJob",
    ),
    Component(
        name="triggerer",
        airflow_arguments=("triggerer", "--skip-serve-logs"),
        health_key="triggerer",
        job_type="TriggererJob",
    ),
    WORKER,
)

COMPONENTS: tuple[Component, ...] = (POSTGRES, *AIRFLOW_COMPONENTS)
