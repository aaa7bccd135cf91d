"""Orrery's tables come with Airflow's, whoever migrates, however often."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

TABLES = [
    "orrery_access_audit",
    "orrery_alembic_version",
    "orrery_binding",
    "orrery_executor_snapshot",
    "orrery_identity",
    "orrery_invitation",
    "orrery_known_address",
    "orrery_login_attempt",
    "orrery_policy_version",
    "orrery_revocation",
    "orrery_role",
    "orrery_task_usage",
    "orrery_team",
    "orrery_team_group",
    "orrery_team_member",
    "orrery_token",
    "orrery_token_use",
    "orrery_user",
]
WOKEN_BY = [
    "asset_dag_run_queue",
    "backfill",
    "connection_test_request",
    "dag",
    "dag_run",
    "partitioned_asset_key_log",
    "slot_pool",
    "task_instance",
]
MIGRATE = "upgradedb()"


def tables(airflow: Any) -> list[str]:
    found = airflow.query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'orrery%' ORDER BY 1")
    return [name for (name,) in found]


def triggers(airflow: Any) -> list[str]:
    found = airflow.query(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'orrery_wake' ORDER BY 1"
    )
    return [name for (name,) in found]


def functions(airflow: Any) -> int:
    [(count,)] = airflow.query("SELECT count(*) FROM pg_proc WHERE proname LIKE 'orrery%'")
    return int(count)


def test_airflow_db_migrate_makes_tables_and_triggers(migrated: Any) -> None:
    assert tables(migrated) == TABLES
    assert triggers(migrated) == WOKEN_BY


def test_airflow_finds_nothing_left_to_migrate(migrated: Any) -> None:
    migrated.airflow("db", "check-migrations", "--migration-wait-timeout", "1")


def test_a_second_migration_changes_nothing(copy: Any) -> None:
    copy.query("INSERT INTO orrery_executor_snapshot VALUES ('kept', now(), '{}')")
    copy.airflow("db", "migrate")
    assert (tables(copy), triggers(copy)) == (TABLES, WOKEN_BY)
    assert copy.query("SELECT scheduler FROM orrery_executor_snapshot") == [("kept",)]


def test_a_database_of_stock_airflow_gets_them_too(copy: Any) -> None:
    copy.manager("downgrade('base')")
    assert (triggers(copy), functions(copy)) == ([], 0)
    copy.query("DROP TABLE orrery_alembic_version")
    assert tables(copy) == []
    copy.airflow("db", "migrate")
    assert (tables(copy), triggers(copy)) == (TABLES, WOKEN_BY)


def test_a_user_who_names_other_managers_still_gets_ours(copy: Any) -> None:
    copy.manager("downgrade('base')")
    copy.airflow("db", "migrate", AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS="")
    assert (tables(copy), triggers(copy)) == (TABLES, WOKEN_BY)


def test_several_migrations_at_once_all_succeed(copy: Any, call: Callable[[str], str]) -> None:
    copy.manager("downgrade('base')")
    copy.query("DROP TABLE orrery_alembic_version")
    processes = [copy.start("-c", call(MIGRATE)) for _ in range(3)]
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert (tables(copy), triggers(copy)) == (TABLES, WOKEN_BY)


def test_a_migration_waits_for_another_and_then_finds_nothing_to_do(
    copy: Any, call: Callable[[str], str]
) -> None:
    copy.manager("downgrade('base')")
    holder = copy.connect()
    holder.cursor().execute("BEGIN; SELECT pg_advisory_xact_lock(x'6f7272657279'::bigint)")
    waiting = copy.start("-c", call(MIGRATE))
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while copy.query(waits) != [(1,)]:
        assert waiting.poll() is None, waiting.communicate()[0]
    assert triggers(copy) == []
    holder.cursor().execute("COMMIT")
    holder.close()
    output, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, output
    assert triggers(copy) == WOKEN_BY


def test_a_migration_that_fails_leaves_nothing_half_done(copy: Any, call: Callable[[str], str]) -> None:
    copy.manager("downgrade('base')")
    # Given a table of Airflow's is not there, so that its trigger cannot be made
    copy.query("ALTER TABLE slot_pool RENAME TO elsewhere")
    # When
    process = copy.start("-c", call(MIGRATE))
    output, _ = process.communicate(timeout=120)
    # Then
    assert process.returncode != 0
    assert "Airflow's table 'slot_pool' is not in the database" in output
    assert tables(copy) == ["orrery_alembic_version"]
    assert (triggers(copy), functions(copy)) == ([], 0)


LOSSES = (
    "DROP TRIGGER orrery_wake ON task_instance",
    "ALTER TABLE task_instance DISABLE TRIGGER orrery_wake",
    "DROP FUNCTION orrery_wake_task_instance CASCADE",
)
LOSE_EACH = f"""
import sqlalchemy as sa
from airflow import settings
from orrery.database.manager import OrreryDBManager
settings.initialize()
for loss in {LOSSES!r}:
    with settings.engine.begin() as connection:
        connection.execute(sa.text(loss))
    with settings.Session() as session:
        manager = OrreryDBManager(session)
        before = manager.check_migration()
        session.rollback()
        manager.upgradedb()
        print(before, manager.check_migration())
"""


def test_a_lost_trigger_is_noticed_and_made_again(copy: Any) -> None:
    said = copy.run("-c", LOSE_EACH).splitlines()
    assert [line for line in said if not line.startswith("20")] == ["False True"] * len(LOSSES)
    assert triggers(copy) == WOKEN_BY


def test_tables_of_a_newer_release_are_never_touched(copy: Any, call: Callable[[str], str]) -> None:
    copy.query("UPDATE orrery_alembic_version SET version_num = 'later'")
    process = copy.start("-c", call(MIGRATE))
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "made by a newer release: this one knows no revision later" in output
    assert tables(copy) == TABLES


def test_airflow_may_change_the_type_of_the_columns_that_are_watched(copy: Any) -> None:
    # PostgreSQL forbids it where a trigger's definition names the column; Airflow's migrations do it.
    copy.query("ALTER TABLE dag_run ALTER COLUMN state TYPE varchar(60)")
    copy.query("ALTER TABLE dag ALTER COLUMN max_active_runs TYPE bigint")
    copy.query("UPDATE dag_run SET state = 'queued'")


def test_the_sql_can_be_shown_instead_of_run(copy: Any) -> None:
    shown = copy.manager("upgradedb(show_sql_only=True)")
    assert "CREATE TABLE orrery_task_usage" in shown
    assert "CREATE TRIGGER orrery_wake AFTER UPDATE ON task_instance" in shown


def test_the_managers_own_commands_of_airflow_work(copy: Any) -> None:
    copy.airflow("db-manager", "downgrade", "-y", "-r", "base", "orrery.database.manager.OrreryDBManager")
    assert tables(copy) == ["orrery_alembic_version"]
    copy.airflow("db-manager", "migrate", "orrery.database.manager.OrreryDBManager")
    assert (tables(copy), triggers(copy)) == (TABLES, WOKEN_BY)


def test_a_reset_of_the_database_drops_them_and_makes_them_anew(copy: Any) -> None:
    copy.query("INSERT INTO orrery_executor_snapshot VALUES ('dropped', now(), '{}')")
    copy.airflow("db", "reset", "-y")
    assert (tables(copy), triggers(copy)) == (TABLES, WOKEN_BY)
    assert copy.query("SELECT scheduler FROM orrery_executor_snapshot") == []


def test_a_database_that_cannot_notify_gets_the_tables_alone(copy: Any) -> None:
    url = f"sqlite:///{copy.home}/airflow.db"
    copy.airflow("db", "migrate", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url)
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'orrery%' ORDER BY 1"
    with closing(sqlite3.connect(copy.home / "airflow.db")) as connection:
        assert [name for (name,) in connection.execute(names)] == TABLES


def test_the_tables_are_what_the_revisions_make(copy: Any) -> None:
    difference = copy.run(
        "-c",
        "from airflow import settings\n"
        "from alembic.autogenerate import compare_metadata\n"
        "from alembic.migration import MigrationContext\n"
        "from orrery.database.tables import metadata\n"
        "settings.initialize()\n"
        "ours = {'include_name': lambda name, kind, _: kind != 'table' or name in metadata.tables,\n"
        "        'compare_type': True}\n"
        "with settings.engine.connect() as connection:\n"
        "    print(compare_metadata(MigrationContext.configure(connection, opts=ours), metadata))\n",
    )
    assert difference.splitlines()[-1] == "[]"
