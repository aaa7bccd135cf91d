"""Airflow's tables, read from outside on a connection of the benchmark's own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from benchmarks.lab.errors import BenchError

_POLL_SECONDS = 0.02
_ENDED = ("success", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskTimes:
    """When one task instance was queued, began and ended: seconds since 1970."""

    id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    try_number: int
    queued: float
    start: float
    end: float


class Database:
    """One contender's metadata database."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters or None).fetchall()

    def execute(self, sql: Any, *parameters: Any) -> None:
        self._connection.execute(sql, parameters or None)

    def wait_run(self, dag_id: str, run_id: str, *, timeout_seconds: float) -> str:
        """Look every 20 ms until a run has ended; return its state."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            rows = self.rows("SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", dag_id, run_id)
            if rows and rows[0][0] in _ENDED:
                return str(rows[0][0])
            time.sleep(_POLL_SECONDS)
        raise BenchError(f"{dag_id} {run_id} has not ended after {timeout_seconds:.0f} s")

    def times(self, dag_id: str, run_id: str) -> list[TaskTimes]:
        """Return the task instances of a run; LIKE patterns are allowed in both."""
        rows = self.rows(
            "SELECT id::text, dag_id, run_id, task_id, map_index, coalesce(state, 'none'), try_number,"
            " extract(epoch FROM queued_dttm)::float8, extract(epoch FROM start_date)::float8,"
            " extract(epoch FROM end_date)::float8"
            " FROM task_instance WHERE dag_id LIKE %s AND run_id LIKE %s ORDER BY start_date",
            dag_id,
            run_id,
        )
        nan = float("nan")
        return [
            TaskTimes(
                id=row[0],
                dag_id=row[1],
                run_id=row[2],
                task_id=row[3],
                map_index=row[4],
                state=row[5],
                try_number=row[6],
                queued=nan if row[7] is None else row[7],
                start=nan if row[8] is None else row[8],
                end=nan if row[9] is None else row[9],
            )
            for row in rows
        ]

    def settings(self) -> dict[str, str]:
        """Return the server's settings that are not its defaults, and those that decide about durability."""
        rows = self.rows(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
            " OR source NOT IN ('default', 'override', 'client', 'environment variable')",
            ["fsync", "synchronous_commit", "wal_sync_method", "full_page_writes", "server_version"],
        )
        private = ("data_directory", "hba_file", "ident_file", "config_file", "port")
        return {name: setting for name, setting in sorted(rows) if name not in private}
