"""Which two planets stand closest together: runs whenever `planets` has updated the asset."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Asset, dag, task

from include.orbits import closest_pair

positions = Asset("planet_positions")


@dag(
    schedule=[positions],
    start_date=datetime(2026, 1, 1),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["example"],
    doc_md=__doc__,
)
def almanac():
    @task
    def closest(triggering_asset_events=None) -> str:
        events = triggering_asset_events[positions] if triggering_asset_events else []
        if not events:
            return "Nothing to compare: this run was started by hand. Run the DAG `planets` instead."
        first, second, apart = closest_pair(events[-1].extra)
        return f"{first} and {second} are {apart:.1f} degrees apart."

    @task
    def tell(sentence: str) -> None:
        print(sentence)

    tell(closest())


almanac()
