"""What wakes the scheduler: a notification when a row changes so that there may be something to schedule.

A trigger works whoever writes: the API server, the triggerer, the user interface, another scheduler, a
person with psql. PostgreSQL joins equal notifications of one transaction into one, and delivers it when
the transaction is committed.

The conditions stand in the functions' bodies, and the triggers name no columns. PostgreSQL refuses to
change a column's type while a trigger's definition names it; Airflow's next migration must not fail on us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from orrery.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

#: What the scheduler listens on. A notification names a run, or says nothing but 'look'.
CHANNEL = "orrery_scheduler"

_TRIGGER = "orrery_wake"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wake:
    """A change of one of Airflow's tables that gives the scheduler work."""

    table: str
    events: str
    #: In SQL, over the rows OLD and NEW; OLD is all NULL when a row is inserted.
    condition: str
    #: In SQL likewise: what the notification says, empty for 'look at everything'.
    payload: str = "''"

    @property
    def function(self) -> str:
        """The name of its function."""
        return f"{_TRIGGER}_{self.table}"


#: Not among them is what a scheduler does to a row and then itself goes on with, in the same loop (queue a
#: task, start a run): it would wake itself for nothing. What it ends or unblocks by itself (an empty task, a
#: failed upstream, a finished run) is: each such change happens once and leaves work for the next loop.
WAKES = (
    Wake(
        table="task_instance",
        events="UPDATE",
        condition="""
            NEW.state IS DISTINCT FROM OLD.state AND CASE
                -- Cleared, or taken from an executor that is gone.
                WHEN NEW.state IS NULL THEN true
                -- What comes after it may start, and its slot of the pool is free.
                WHEN NEW.state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed') THEN true
                -- It may be due at once, and its slot is free.
                WHEN NEW.state IN ('up_for_retry', 'up_for_reschedule') THEN true
                -- Only its slot is free. A task that starts deferred had none.
                WHEN NEW.state IN ('deferred', 'awaiting_input') THEN OLD.state IN ('queued', 'running')
                -- An event or an answer has come. All else is scheduled, and then queued, in one loop.
                WHEN NEW.state = 'scheduled'
                    THEN OLD.state IN ('deferred', 'awaiting_input', 'queued', 'running')
                ELSE false
            END""",
        # What runs has succeeded: that changes nothing but what its own run waits for.
        payload="""CASE WHEN NEW.state = 'success' AND OLD.state = 'running'
            THEN NEW.dag_id || E'\\n' || NEW.run_id ELSE '' END""",
    ),
    Wake(
        table="dag_run",
        events="INSERT OR UPDATE",
        condition="""
            NEW.state IS DISTINCT FROM OLD.state AND CASE
                -- Triggered, cleared, or made by a backfill.
                WHEN NEW.state = 'queued' THEN true
                -- Another run may have waited for this one's end.
                WHEN NEW.state IN ('success', 'failed') THEN EXISTS (
                    SELECT FROM dag_run WHERE dag_run.dag_id = NEW.dag_id AND dag_run.state = 'queued'
                )
                ELSE false
            END""",
    ),
    Wake(
        table="dag",
        events="INSERT OR UPDATE",
        condition="""
            NOT NEW.is_paused AND NOT NEW.is_stale AND (
                NEW.is_paused IS DISTINCT FROM OLD.is_paused
                OR NEW.is_stale IS DISTINCT FROM OLD.is_stale
                OR NEW.exceeds_max_non_backfill < OLD.exceeds_max_non_backfill
                OR NEW.max_active_runs > OLD.max_active_runs
                OR NEW.max_active_tasks > OLD.max_active_tasks
                OR NEW.next_dagrun_create_after IS DISTINCT FROM OLD.next_dagrun_create_after
                    AND NEW.next_dagrun_create_after <= now()
            )""",
    ),
    # Cancelled or resumed, or allowed more runs at a time.
    Wake(
        table="backfill",
        events="UPDATE",
        condition="""
            NEW.is_paused IS DISTINCT FROM OLD.is_paused
            OR NEW.max_active_runs IS DISTINCT FROM OLD.max_active_runs
            OR NEW.completed_at IS DISTINCT FROM OLD.completed_at""",
    ),
    Wake(
        table="slot_pool",
        events="UPDATE",
        condition="""
            NEW.slots IS DISTINCT FROM OLD.slots
            OR NEW.include_deferred IS DISTINCT FROM OLD.include_deferred""",
    ),
    # Assets that were updated, for runs that wait for them.
    Wake(table="asset_dag_run_queue", events="INSERT", condition="true"),
    Wake(table="partitioned_asset_key_log", events="INSERT", condition="true"),
    Wake(table="connection_test_request", events="INSERT", condition="true"),
)


def run_of(payload: str) -> tuple[str, str] | None:
    """Return the Dag and the run that a notification names; None: it asks to look at everything."""
    dag_id, _, run_id = payload.partition("\n")
    return (dag_id, run_id) if run_id else None


def statements() -> Iterator[str]:
    """Yield the SQL that creates all of them in a database that has none."""
    for wake in WAKES:
        yield _function_sql(wake)
        yield _trigger_sql(wake)


def missing(connection: Connection) -> list[Wake]:
    """Return those that the database lacks; none where it is not PostgreSQL, which alone can notify."""
    if connection.dialect.name != "postgresql":
        return []
    there = set(
        connection.execute(
            sa.text(
                "SELECT t.tgrelid FROM pg_trigger t WHERE t.tgname = :name AND t.tgenabled <> 'D'"
            ).bindparams(name=_TRIGGER)
        ).scalars()
    )
    return [wake for wake in WAKES if _table_id(connection, wake.table) not in there]


def ensure(connection: Connection) -> None:
    """Bring functions and triggers to what this release wants.

    A function is replaced at once; only a trigger that is missing locks its table, for a moment.

    Raises:
        StateError: Airflow's own tables are not there.
    """
    if connection.dialect.name != "postgresql":
        return
    for wake in WAKES:
        if _table_id(connection, wake.table) is None:
            raise StateError(
                f"Airflow's table '{wake.table}' is not in the database, so nothing can wake the scheduler.",
                hint="Run 'airflow db migrate', which makes Airflow's tables first and then Orrery's.",
            )
        connection.exec_driver_sql(_function_sql(wake))
    for wake in missing(connection):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_TRIGGER} ON {wake.table}")  # a disabled one
        connection.exec_driver_sql(_trigger_sql(wake))


def drop(connection: Connection) -> None:
    """Remove functions and triggers; those whose tables are gone too."""
    if connection.dialect.name != "postgresql":
        return
    for wake in WAKES:
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {wake.function}() CASCADE")


def _table_id(connection: Connection, table: str) -> int | None:
    return connection.execute(sa.text("SELECT to_regclass(:table)::oid").bindparams(table=table)).scalar()


def _function_sql(wake: Wake) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {wake.function}() RETURNS trigger LANGUAGE plpgsql AS $orrery$\n"
        f"BEGIN\n"
        f"    IF ({wake.condition.strip()}\n    ) THEN\n"
        f"        PERFORM pg_catalog.pg_notify('{CHANNEL}', {wake.payload});\n"
        f"    END IF;\n"
        f"    RETURN NULL;\n"
        f"END\n"
        f"$orrery$"
    )


def _trigger_sql(wake: Wake) -> str:
    return (
        f"CREATE TRIGGER {_TRIGGER} AFTER {wake.events} ON {wake.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {wake.function}()"
    )
