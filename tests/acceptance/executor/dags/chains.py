"""DAGs that start or wait for other DAGs: assets, TriggerDagRunOperator, ExternalTaskSensor; backfills."""
# mypy: ignore-errors

from datetime import UTC, datetime

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, Metadata, dag, get_current_context, task

PRODUCT = Asset(name="fidelity_product", uri="file://fidelity/product")


@dag(schedule=None)
def fidelity_produces():
    @task(outlets=[PRODUCT])
    def produce():
        yield Metadata(PRODUCT, {"rows": 3})

    @task(outlets=[PRODUCT])
    def fails_to_produce():
        raise RuntimeError("an asset of a failed task has no event")

    produce()
    fails_to_produce()


@dag(schedule=[PRODUCT])
def fidelity_consumes():
    @task(inlets=[PRODUCT])
    def consume():
        context = get_current_context()
        events = context["triggering_asset_events"][PRODUCT]
        return [[event.source_task_id, event.extra] for event in events]

    consume()


@dag(schedule=None)
def fidelity_triggers():
    TriggerDagRunOperator(
        task_id="and_waits",
        trigger_dag_id="fidelity_triggered",
        trigger_run_id="from_{{ run_id }}",
        conf={"greeting": "from {{ dag.dag_id }}"},
        wait_for_completion=True,
        poke_interval=1,
    ) >> TriggerDagRunOperator(
        task_id="deferred",
        trigger_dag_id="fidelity_triggered",
        trigger_run_id="deferred_from_{{ run_id }}",
        conf={"greeting": "deferred", "fail": True},
        wait_for_completion=True,
        deferrable=True,
        poke_interval=1,
        allowed_states=["failed"],
        failed_states=["success"],
    )


@dag(schedule=None)
def fidelity_triggered():
    @task
    def greet(dag_run):
        if dag_run.conf.get("fail"):
            raise RuntimeError("as asked")
        return dag_run.conf["greeting"]

    greet()


@dag(schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def fidelity_daily():
    @task(depends_on_past=True)
    def day(ds, prev_ds_nodash=None):
        return ds

    @task
    def of_the_day_before(ti):
        return ti.xcom_pull(task_ids="day", include_prior_dates=True)

    day() >> of_the_day_before()


fidelity_produces()
fidelity_consumes()
fidelity_triggers()
fidelity_triggered()
fidelity_daily()
