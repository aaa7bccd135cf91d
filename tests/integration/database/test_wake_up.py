"""Which changes wake the scheduler, and which do not: each one on a real table of Airflow's."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from orrery.database.triggers import run_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

#: A value for each type of a column that must have one.
FILLERS = {
    "boolean": False,
    "bytea": b"x",
    "character varying": "x",
    "double precision": 1.0,
    "integer": 1,
    "json": "{}",
    "jsonb": "{}",
    "text": "x",
    "timestamp with time zone": "2026-01-01T00:00:00+00:00",
}


class Database:
    """One writer and one ear; every statement is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self.writer = psycopg2.connect(url)
        self.writer.autocommit = True
        self.ear = psycopg2.connect(url)
        self.ear.autocommit = True
        self.ear.cursor().execute("LISTEN orrery_scheduler")
        #: What was last heard.
        self.said: set[str] = set()

    def run(self, sql: str, *values: Any) -> None:
        with self.writer.cursor() as cursor:
            cursor.execute(sql, values or None)

    def put(self, table: str, **given: Any) -> None:
        """Insert a row as it would look, without the rows that it refers to, and unheard."""
        self.run("SET session_replication_role = replica")
        self.insert(table, **given)
        self.run("SET session_replication_role = origin")
        self.heard()

    def insert(self, table: str, **given: Any) -> None:
        with self.writer.cursor() as cursor:
            cursor.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
                " AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
                (table,),
            )
            row = {
                name: str(uuid.uuid4()) if kind == "uuid" else FILLERS[kind]
                for name, kind in cursor.fetchall()
            }
            row |= given
            places = ", ".join(["%s"] * len(row))
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})",  # noqa: S608
                list(row.values()),
            )

    def heard(self) -> int:
        """Return how many notifications have come since it was last asked."""
        # What was sent before this answer has arrived with it.
        self.ear.cursor().execute("SELECT 1")
        self.ear.poll()
        count = len(self.ear.notifies)
        self.said = {notify.payload for notify in self.ear.notifies}
        self.ear.notifies.clear()
        return count

    def close(self) -> None:
        self.writer.close()
        self.ear.close()


@pytest.fixture
def database(copy: Any) -> Iterator[Database]:
    found = Database(copy.url)
    yield found
    found.close()


WAKING = [
    # The task's end, by itself, by a person, or by the scheduler.
    ("running", "success"),
    ("running", "failed"),
    ("running", "skipped"),
    ("queued", "failed"),
    ("scheduled", "failed"),
    (None, "success"),  # a task that does nothing
    (None, "skipped"),
    (None, "upstream_failed"),
    (None, "removed"),
    ("deferred", "failed"),
    ("deferred", "success"),
    ("up_for_retry", "failed"),
    ("failed", "success"),
    ("success", "failed"),
    # Not its end, but its slot of the pool.
    ("running", "up_for_retry"),
    ("queued", "up_for_retry"),
    ("restarting", "up_for_retry"),
    ("running", "up_for_reschedule"),
    ("running", "deferred"),
    ("running", "awaiting_input"),
    # An event, an answer, or a queue that took too long.
    ("deferred", "scheduled"),
    ("awaiting_input", "scheduled"),
    ("running", "scheduled"),
    ("queued", "scheduled"),
    # Cleared, or taken from an executor that is gone.
    ("success", None),
    ("failed", None),
    ("upstream_failed", None),
    ("queued", None),
    ("running", None),
    ("up_for_retry", None),
]
SILENT = [
    # Of the scheduler, which goes on with it in the same loop.
    (None, "scheduled"),
    ("up_for_retry", "scheduled"),
    ("up_for_reschedule", "scheduled"),
    ("scheduled", "queued"),
    ("scheduled", "deferred"),  # it starts deferred
    (None, "deferred"),
    # Of a task that begins, or is told to stop: nothing becomes free.
    ("queued", "running"),
    ("restarting", "running"),
    ("running", "restarting"),
    # No change at all.
    ("running", "running"),
    ("success", "success"),
    (None, None),
]


def of(states: tuple[str | None, str | None]) -> str:
    return f"{states[0]} to {states[1]}"


def test_each_state_of_a_task_wakes_or_does_not(database: Database) -> None:
    found = {}
    for before, after in [*WAKING, *SILENT]:
        database.put("task_instance", state=before, task_id=of((before, after)))
        database.run("UPDATE task_instance SET state = %s", after)
        found[before, after] = database.heard()
        database.run("DELETE FROM task_instance")
    assert [of(each) for each in WAKING if found[each] != 1] == []
    assert [of(each) for each in SILENT if found[each] != 0] == []


def test_every_state_of_airflows_has_been_thought_of(migrated: Any) -> None:
    states = migrated.run("-c", "from airflow.utils.state import State; print(*State.task_states)")
    known = {after for _, after in [*WAKING, *SILENT]}
    assert {None if state == "None" else state for state in states.split()} == known


def test_what_a_running_task_writes_wakes_nobody(database: Database) -> None:
    database.put("task_instance", state="running")
    database.run("UPDATE task_instance SET last_heartbeat_at = now(), rendered_map_index = 'x', pid = 1")
    assert database.heard() == 0


def test_many_ends_in_one_transaction_are_one_notification(database: Database) -> None:
    for number in range(50):
        database.put("task_instance", state="running", task_id=f"t{number}")
    database.run("UPDATE task_instance SET state = 'success'")
    assert database.heard() == 1


def test_the_success_of_what_ran_names_its_run_and_nothing_else_does(database: Database) -> None:
    said = {}
    for before, after in WAKING:
        database.put("task_instance", state=before, dag_id="shop", run_id="one\u00e9")
        database.run("UPDATE task_instance SET state = %s", after)
        database.heard()
        said[before, after] = {run_of(payload) for payload in database.said}
        database.run("DELETE FROM task_instance")
    assert said.pop(("running", "success")) == {("shop", "one\u00e9")}
    assert all(named == {None} for named in said.values())


def test_nothing_is_heard_of_what_is_rolled_back(database: Database) -> None:
    database.put("task_instance", state="running")
    database.run("BEGIN; UPDATE task_instance SET state = 'success'")
    assert database.heard() == 0
    database.run("ROLLBACK")
    assert database.heard() == 0


@pytest.mark.parametrize(
    ("before", "after", "heard"),
    [
        ("success", "queued", 1),  # cleared
        ("failed", "queued", 1),
        ("queued", "running", 0),
        ("running", "running", 0),
        ("running", "success", 0),  # nobody waits for it
        ("running", "failed", 0),
    ],
)
def test_a_run(database: Database, before: str, after: str, heard: int) -> None:
    database.put("dag_run", dag_id="shop", run_id="one", state=before)
    database.run("UPDATE dag_run SET state = %s", after)
    assert database.heard() == heard


@pytest.mark.parametrize(("waiting", "heard"), [("shop", 1), ("other", 0)])
@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_runs_end_wakes_where_another_run_of_its_dag_waits(
    database: Database, waiting: str, end: str, heard: int
) -> None:
    database.put("dag_run", dag_id="shop", run_id="one", state="running")
    database.put("dag_run", dag_id=waiting, run_id="two", state="queued", logical_date=None)
    database.run("UPDATE dag_run SET state = %s WHERE run_id = 'one'", end)
    assert database.heard() == heard


@pytest.mark.parametrize(("state", "heard"), [("queued", 1), ("running", 0), ("success", 0)])
def test_a_new_run(database: Database, state: str, heard: int) -> None:
    database.run("SET session_replication_role = replica")
    database.run("ALTER TABLE dag_run ENABLE ALWAYS TRIGGER orrery_wake")
    database.insert("dag_run", dag_id="shop", run_id="one", state=state)
    assert database.heard() == heard


DAG = {
    "dag_id": "shop",
    "is_paused": False,
    "is_stale": False,
    "exceeds_max_non_backfill": False,
    "max_active_runs": 4,
    "max_active_tasks": 16,
    "next_dagrun_create_after": "2026-01-01",
}


@pytest.mark.parametrize(
    ("before", "change", "heard"),
    [
        ({"is_paused": True}, "is_paused = false", 1),
        ({}, "is_paused = true", 0),
        ({"is_stale": True}, "is_stale = false", 1),
        ({}, "is_stale = true", 0),
        ({"exceeds_max_non_backfill": True}, "exceeds_max_non_backfill = false", 1),
        ({}, "exceeds_max_non_backfill = true", 0),
        ({}, "max_active_runs = 5", 1),
        ({}, "max_active_runs = 3", 0),
        ({}, "max_active_tasks = 17", 1),
        ({}, "max_active_tasks = 15", 0),
        ({}, "next_dagrun_create_after = '2026-01-02'", 1),  # already due
        ({}, "next_dagrun_create_after = now() + interval '1 hour'", 0),
        ({}, "next_dagrun_create_after = NULL", 0),
        ({"next_dagrun_create_after": None}, "next_dagrun_create_after = '2026-01-02'", 1),
        ({"is_paused": True}, "next_dagrun_create_after = '2026-01-02'", 0),
        ({}, "last_parsed_time = now()", 0),
    ],
)
def test_a_dag(database: Database, before: dict[str, Any], change: str, heard: int) -> None:
    database.put("dag", **{**DAG, **before})
    database.run(f"UPDATE dag SET {change}")  # noqa: S608
    assert database.heard() == heard


@pytest.mark.parametrize(
    ("table", "change", "heard"),
    [
        ("backfill", "is_paused = NOT is_paused", 1),
        ("backfill", "max_active_runs = 7", 1),
        ("backfill", "completed_at = now()", 1),
        ("backfill", "updated_at = now()", 0),
        ("slot_pool", "slots = 7", 1),
        ("slot_pool", "include_deferred = NOT include_deferred", 1),
        ("slot_pool", "description = 'x'", 0),
    ],
)
def test_what_holds_tasks_back(database: Database, table: str, change: str, heard: int) -> None:
    database.run(f"DELETE FROM {table}")  # noqa: S608
    database.put(table, is_paused=True) if table == "backfill" else database.put(table, slots=1)
    database.run(f"UPDATE {table} SET {change}")  # noqa: S608
    assert database.heard() == heard


@pytest.mark.parametrize(
    "table", ["asset_dag_run_queue", "partitioned_asset_key_log", "connection_test_request"]
)
def test_what_arrives(database: Database, table: str) -> None:
    # Without the rows that it refers to, yet with our trigger.
    database.run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER orrery_wake")
    database.run("SET session_replication_role = replica")
    database.insert(table)
    assert database.heard() == 1
