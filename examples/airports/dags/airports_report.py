"""Draw a map and write a page whenever the airports have changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from include.airports.assets import AIRPORTS


@dag(
    schedule=[AIRPORTS],
    catchup=False,
    max_active_runs=1,
    # A report that is asked for by an event is wanted from the first event on.
    is_paused_upon_creation=False,
    tags=["airports", "example"],
    doc_md=__doc__,
    default_args={"owner": "data-platform", "retries": 1, "retry_delay": timedelta(seconds=2)},
)
def airports_report() -> None:
    @task
    def summarise(*, triggering_asset_events: Any) -> dict[str, Any]:
        from include.airports import warehouse

        summary = warehouse.summary()
        events = triggering_asset_events.get(AIRPORTS, [])  # empty when a person starts the run
        summary["changed"] = sum(event.extra.get("changed", 0) for event in events)
        return summary

    @task
    def draw_map() -> str:
        from include.airports import reports, warehouse, world_map

        return str(reports.save("airports.png", world_map.png(warehouse.positions())))

    @task
    def write_page(summary: dict[str, Any], picture: str) -> str:
        from include.airports import page, reports

        return str(reports.save("airports.html", page.html(summary, picture=picture).encode()))

    write_page(summarise(), draw_map())


airports_report()
