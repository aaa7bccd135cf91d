"""Tasks that ask for resources in each of the ways, and deadlines that are missed."""
# mypy: ignore-errors

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, SyncCallback, dag, task
from include.traces import missed


@dag(schedule=None)
def fidelity_resources():
    # Airflow's own operator argument knows whole MiB: LocalExecutor ignores it, so that states agree.
    BashOperator(task_id="operator", bash_command="echo asked", resources={"cpus": 1, "ram": 256})
    BashOperator.partial(task_id="operator_mapped", resources={"cpus": 1, "ram": 256}).expand(
        bash_command=["echo one", "echo two"]
    )

    @task(executor_config={"resources": {"cpu": "100m", "memory": "256Mi"}})
    def config():
        return "config"

    @task(executor_config={"resources": {"cpu": 0.1, "memory": 2**28}, "isolation": "process"})
    def numbers():
        return "numbers"

    @task(executor_config={"somebody_elses": {"key": [1, 2]}})
    def not_ours():
        return "not ours"

    config()
    numbers()
    not_ours()


fidelity_resources()

with DAG(
    "fidelity_deadlines",
    schedule=None,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=SyncCallback(missed, kwargs={"word": "one second"}),
    ),
):
    BashOperator(task_id="misses_it", bash_command="sleep 4")
