"""200 DAGs of 10 tasks that are due in the same minute; none until that minute is written below.

Airflow reads this file again as soon as it changes: so it waits empty until its turn.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, chain

#: When they are due, in ISO format; None: there are no DAGs.
DUE: str | None = None
DAGS = 200
TASKS = 10


def noop() -> None:
    pass


def storm(number: int, due: datetime) -> DAG:
    with DAG(
        f"bench_storm_{number:03}",
        schedule=f"{due.minute} {due.hour} * * *",
        # Not earlier: yesterday's run would be due at once.
        start_date=due,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_tasks=1000,
        default_args={"retries": 0},
    ) as made:
        chain(*[PythonOperator(task_id=f"noop_{i}", python_callable=noop) for i in range(TASKS)])
    return made


if DUE is not None:
    for number in range(DAGS):
        globals()[f"bench_storm_{number:03}"] = storm(number, datetime.fromisoformat(DUE))
