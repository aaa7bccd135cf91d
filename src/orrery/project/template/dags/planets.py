"""Where the planets are: one task per planet, and an asset that a second DAG waits for."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Asset, Metadata, dag, get_current_context, task

from include.orbits import PERIODS, longitude

positions = Asset("planet_positions")


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["example"],
    doc_md=__doc__,
)
def planets():
    @task
    def list_planets() -> list[str]:
        return list(PERIODS)

    @task(map_index_template="{{ planet }}")
    def locate(planet: str) -> dict[str, str | float]:
        """Runs once per planet: Airflow makes as many tasks as the list has names."""
        context = get_current_context()
        context["planet"] = planet  # the name that the UI shows for this task
        return {"planet": planet, "degrees": round(longitude(planet, context["dag_run"].run_after), 1)}

    @task(outlets=[positions])
    def publish(found: list[dict[str, str | float]]):
        """Updates the asset, which starts the DAG `almanac`; the facts travel with the event."""
        # found[:] fetches the results of all mapped tasks at once.
        yield Metadata(positions, extra={item["planet"]: item["degrees"] for item in found[:]})

    publish(locate.expand(planet=list_planets()))


planets()
