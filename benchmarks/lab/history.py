"""A database with a past: finished runs of a DAG, copied by SQL from one that really ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.lab.measures import run, wait_for_dags
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.lab.database import Database
    from benchmarks.lab.measures import Figures
    from benchmarks.lab.side import Running

_DAG = "bench_history"
_TASKS_PER_RUN = 10
_RUNS_PER_STATEMENT = 5000
#: Each copy lies a minute before the one before it.
_EARLIER = "{column} - n * interval '1 minute'"
_TIMES = ("queued_at", "start_date", "end_date", "run_after", "queued_dttm", "scheduled_dttm", "updated_at")
_RUN = {"id": None, "run_id": "'history-' || n", "logical_date": "NULL"}
_TASK = {"id": "gen_random_uuid()", "run_id": "'history-' || n"}


def loss(side: Running, sizes: tuple[int, ...] = (100_000, 1_000_000)) -> Figures:
    """How much slower chain and fan-out become once so many finished task instances lie in the database."""
    wait_for_dags(side, [_DAG, "bench_chain", "bench_fanout_300"])
    chain, fan = _walls(side)
    figures = {"chain with no past, wall s": chain, "fan-out of 300 with no past, wall s": fan}
    for size in sizes:
        fill(side, size)
        slower_chain, slower_fan = _walls(side)
        figures |= {
            f"chain with {size} finished tasks, wall s": slower_chain,
            f"chain with {size} finished tasks, loss %": (slower_chain / chain - 1) * 100,
            # Of the rate, which is what a fan-out is about.
            f"fan-out with {size} finished tasks, loss %": (1 - fan / slower_fan) * 100,
        }
    return figures


def _walls(side: Running) -> tuple[float, float]:
    """Return the better of two chains and of two fan-outs: noise only ever adds."""
    return (
        min(run(side, "bench_chain").wall for _ in range(2)),
        min(run(side, "bench_fanout_300").wall for _ in range(2)),
    )


def fill(side: Running, task_instances: int) -> None:
    """Bring the number of copied task instances to this."""
    database = side.database
    there = int(database.rows("SELECT count(*) FROM dag_run WHERE run_id LIKE 'history-%%'")[0][0])
    original = database.rows(
        "SELECT run_id FROM dag_run WHERE dag_id = %s AND run_id LIKE 'bench-%%' LIMIT 1", _DAG
    )
    run_id = original[0][0] if original else run(side, _DAG).tasks[0].run_id
    wanted = task_instances // _TASKS_PER_RUN
    # No trigger and no check of foreign keys: the copies are as good as what they are copied from.
    database.execute("SET session_replication_role = replica")
    for first in range(there + 1, wanted + 1, _RUNS_PER_STATEMENT):
        numbers = (first, min(first + _RUNS_PER_STATEMENT - 1, wanted))
        for table, changed in (("dag_run", _RUN), ("task_instance", _TASK)):
            database.execute(_copy(database, table, changed), *numbers, _DAG, run_id)
    database.execute("SET session_replication_role = origin")
    database.execute("VACUUM (ANALYZE) dag_run, task_instance")
    database.execute("CHECKPOINT")


def _copy(database: Database, table: str, changed: Mapping[str, str | None]) -> sql.Composed:
    """Return the statement that copies rows of a table, whatever columns this Airflow gives it.

    None as a column's new value leaves it to the table's default.
    """
    names = [
        str(row[0])
        for row in database.rows(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'",
            table,
        )
    ]
    values = {name: name for name in names}
    values |= {name: _EARLIER.format(column=name) for name in names if name in _TIMES}
    values |= {name: value for name, value in changed.items() if value is not None}
    kept = [name for name in names if changed.get(name, "") is not None]
    return sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM {table}, generate_series(%s::int, %s::int) n"
        " WHERE dag_id = %s AND run_id = %s"
    ).format(
        table=sql.Identifier(table),
        names=sql.SQL(", ").join(map(sql.Identifier, kept)),
        # Expressions of this module and names out of the catalogue, nobody's input.
        values=sql.SQL(", ").join(sql.SQL(values[name]) for name in kept),
    )
