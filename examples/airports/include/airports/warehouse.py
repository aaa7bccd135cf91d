"""The database `airports`: all of this project's SQL. Everything that travels between tasks lies here.

Each function may be repeated: a task that is retried, or a run that is cleared, leaves the same rows.
"""

from __future__ import annotations

import csv
import json
import tempfile
from contextlib import closing
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .rules import Airport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.providers.postgres.hooks.postgres import PostgresHook

    from .rules import Reject

CONNECTION = "orrery_postgres"
DATABASE = "airports"
COLUMNS = tuple(field.name for field in fields(Airport))


def hook(database: str = DATABASE) -> PostgresHook:
    """Return a hook to a database of the warehouse's server."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    return PostgresHook(postgres_conn_id=CONNECTION, database=database)


def ensure_database() -> None:
    """Create the database and its tables where they are missing."""
    maintenance = hook("postgres")
    if not maintenance.get_first("SELECT 1 FROM pg_database WHERE datname = %s", parameters=(DATABASE,)):
        maintenance.run(f'CREATE DATABASE "{DATABASE}"', autocommit=True)
    hook().run(Path(__file__).with_name("schema.sql").read_text())


def stage_register(run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep the register's rows as they came."""
    _replace("register_staging", ("run_id", "row"), ((run_id, json.dumps(row)) for row in rows))


def staged_register(run_id: str) -> list[dict[str, Any]]:
    """Return the register's rows of a run."""
    records = hook().get_records("SELECT row FROM register_staging WHERE run_id = %s", parameters=(run_id,))
    return [record[0] for record in records]


def stage_airports(run_id: str, airports: Iterable[Airport]) -> None:
    """Keep the airports of a run until each region is loaded."""
    rows = ((run_id, *astuple(airport)) for airport in airports)
    _replace("airports_staging", ("run_id", *COLUMNS), rows)


def quarantine(run_id: str, rejects: Iterable[Reject]) -> None:
    """Keep the rejects of a run, in place of those of the run before."""
    rows = ((run_id, reject.icao, reject.reason, json.dumps(dict(reject.row))) for reject in rejects)
    _replace("quarantine", ("run_id", "icao", "reason", "row"), rows)


def load_region(run_id: str, region: str) -> dict[str, Any]:
    """Upsert the staged airports of one region; return how many there are and how many changed."""
    names = ", ".join(COLUMNS)
    changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "icao")
    old = ", ".join(f"airports.{name}" for name in COLUMNS)
    new = ", ".join(f"excluded.{name}" for name in COLUMNS)
    # The names are this module's own; every value travels as a parameter.
    upsert = (
        f"INSERT INTO airports ({names}) "  # noqa: S608
        f"SELECT {names} FROM airports_staging WHERE run_id = %(run_id)s AND region = %(region)s "
        f"ON CONFLICT (icao) DO UPDATE SET {changes}, changed_at = now() "
        f"WHERE ({old}) IS DISTINCT FROM ({new})"
    )
    record = (
        "INSERT INTO loads (run_id, region, rows, changed_rows) "
        "SELECT %(run_id)s, %(region)s, count(*), %(changed)s FROM airports_staging "
        "WHERE run_id = %(run_id)s AND region = %(region)s "
        "ON CONFLICT (run_id, region) DO UPDATE SET rows = excluded.rows, "
        "changed_rows = excluded.changed_rows, loaded_at = now() RETURNING rows"
    )
    with closing(hook().get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute(upsert, {"run_id": run_id, "region": region})
        changed = cursor.rowcount
        cursor.execute(record, {"run_id": run_id, "region": region, "changed": changed})
        rows = cursor.fetchone()[0]
        connection.commit()
    return {"region": region, "rows": rows, "changed_rows": changed}


def finish(run_id: str) -> dict[str, int]:
    """Remove airports that have left the register; return the counts."""
    retire = (
        "DELETE FROM airports WHERE NOT EXISTS "
        "(SELECT FROM airports_staging s WHERE s.run_id = %s AND s.icao = airports.icao)"
    )
    with closing(hook().get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM airports_staging WHERE run_id = %s", (run_id,))
        # The work tables hold the latest run. An older one that is cleared must not remove everything.
        retired = 0
        if cursor.fetchone()[0]:
            cursor.execute(retire, (run_id,))
            retired = cursor.rowcount
        cursor.execute("SELECT (SELECT count(*) FROM airports), (SELECT count(*) FROM quarantine)")
        rows, quarantined = cursor.fetchone()
        connection.commit()
    return {"rows": rows, "quarantined": quarantined, "retired": retired}


def summary() -> dict[str, Any]:
    """Return what the report says in words and numbers."""
    warehouse = hook()

    def read(sql: str) -> list[list[Any]]:
        return [list(record) for record in warehouse.get_records(sql)]

    ((airports, countries, with_iata),) = read(
        "SELECT count(*), count(DISTINCT country), count(iata) FROM airports"
    )
    return {
        "airports": airports,
        "countries": countries,
        "with_iata": with_iata,
        "regions": read("SELECT region, count(*) FROM airports GROUP BY 1 ORDER BY 2 DESC, 1"),
        "top_countries": read(
            "SELECT country, count(*) FROM airports GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
        ),
        "highest": read("SELECT icao, name, country, elevation_ft FROM airports ORDER BY 4 DESC, 1 LIMIT 5"),
        "northernmost": read("SELECT icao, name, country, latitude FROM airports ORDER BY 4 DESC, 1 LIMIT 5"),
        "quarantine": read(
            "SELECT icao, coalesce(row ->> 'name', ''), reason FROM quarantine ORDER BY 1 LIMIT 50"
        ),
    }


def positions() -> list[tuple[str, float, float]]:
    """Return region, longitude and latitude of every airport."""
    return [
        tuple(record) for record in hook().get_records("SELECT region, longitude, latitude FROM airports")
    ]


def _replace(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Put rows in place of those of the run, or the attempt, before: by COPY."""
    warehouse = hook()
    warehouse.run(f"TRUNCATE {table}")
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
        file.flush()
        # An empty field of CSV is NULL to PostgreSQL.
        warehouse.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (FORMAT csv)", file.name)
