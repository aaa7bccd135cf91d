"""Bring the world's airports into the warehouse: extract, validate, load per region, announce."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import Param, dag, task
from include.airports.assets import AIRPORTS


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["airports", "example"],
    doc_md=__doc__,
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=2)},
    params={
        "flaky_register": Param(
            True,
            type="boolean",
            description="The register drops the first attempt to read it: shows a retry.",
        ),
        "largest_reject_share": Param(
            0.01, type="number", minimum=0, maximum=1, description="More bad rows than this stop the run."
        ),
    },
)
def airports_ingest() -> None:
    # The publisher asks for a pause before each download. Waiting costs no worker: the task defers.
    pause = DateTimeSensorAsync(
        task_id="wait_for_the_register",
        target_time="{{ macros.datetime.now(macros.dateutil.tz.UTC) + macros.timedelta(seconds=2) }}",
    )

    @task
    def prepare_warehouse() -> None:
        from include.airports import warehouse

        warehouse.ensure_database()

    @task
    def extract(*, params: dict[str, Any], run_id: str, ti: Any) -> int:
        from include.airports import source, warehouse

        rows = source.read_register(attempt=ti.try_number, flaky=params["flaky_register"])
        warehouse.stage_register(run_id, rows)
        return len(rows)

    @task
    def validate(extracted: int, *, params: dict[str, Any], run_id: str) -> list[str]:
        from airflow.sdk.exceptions import AirflowFailException
        from include.airports import rules, warehouse

        airports, rejects = rules.sort_out(warehouse.staged_register(run_id))
        warehouse.quarantine(run_id, rejects)
        share = len(rejects) / max(extracted, 1)
        print(f"{len(airports)} airports, {len(rejects)} rejects ({share:.2%}) of {extracted} rows")
        if not airports or share > params["largest_reject_share"]:
            # Trying again would not make the rows better: fail without a retry.
            raise AirflowFailException(
                f"{len(rejects)} of {extracted} rows broke a rule, more than "
                f"{params['largest_reject_share']:.2%}; see the table quarantine."
            )
        warehouse.stage_airports(run_id, airports)
        return sorted({airport.region for airport in airports})

    @task(map_index_template="{{ region }}")
    def load(region: str, *, run_id: str) -> dict[str, Any]:
        from airflow.sdk import get_current_context
        from include.airports import warehouse

        get_current_context()["region"] = region
        return warehouse.load_region(run_id, region)

    @task(outlets=[AIRPORTS])
    def announce(loads: list[dict[str, Any]], *, run_id: str, outlet_events: Any) -> dict[str, int]:
        from include.airports import warehouse

        counts = warehouse.finish(run_id)
        counts["changed"] = sum(load["changed_rows"] for load in loads)
        outlet_events[AIRPORTS].extra = counts
        return counts

    extracted = extract()
    [prepare_warehouse(), pause] >> extracted
    announce(load.expand(region=validate(extracted)))


airports_ingest()
