"""The monitoring DAG in Airflow's own DAG processor: present, its pool with it, its name protected."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

BUNDLES = [
    {
        "name": "orrery-system",
        "classpath": "orrery.monitoring.bundle.SystemBundle",
        "kwargs": {},
    },
    {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {},
    },
]
IN_FORCE = "SELECT timetable_summary FROM dag WHERE dag_id = 'orrery_monitoring_dag'"
OFFENDER = """
from airflow.sdk import DAG
dag = DAG("orrery_monitoring_dag", schedule=None)
"""
ALLOWED = """
from airflow.sdk import DAG
dag = DAG("ordinary", schedule=None)
"""


def stopped(process: subprocess.Popen[str]) -> str:
    """What a process printed until its end, which it is asked for more than once.

    Airflow's handler of SIGTERM raises SystemExit wherever the signal finds the DAG processor. Where that is
    one of the interpreter's own calls around a fork, Python reports it and goes on: seen once in fifty times.
    """
    with process:
        for _ in range(12):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(timeout=5)
                return output
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"it did not end when asked to:\n{output}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Airflow:
    """A metadata database of its own, on sqlite: nothing is scheduled here, only parsed."""

    home: Path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        # Settings of the machine must not leak in.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *arguments],
            env={
                **clean,
                "AIRFLOW_HOME": str(self.home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def process_dags(self, *, until: str, **environment: str) -> None:
        """Let a DAG processor work, from a fresh start, until a query about the database says 1."""
        self.execute("UPDATE dag_bundle SET last_refreshed = NULL")
        process = self.start("dag-processor", **environment)
        deadline = time.monotonic() + 120
        try:
            while not self.rows(f"SELECT 1 WHERE {until}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    break
                time.sleep(0.2)
        finally:
            output = stopped(process)
        assert self.rows(f"SELECT 1 WHERE {until}"), output

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            return database.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        with closing(sqlite3.connect(self.home / "airflow.db")) as database, database:
            database.execute(sql)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    airflow = Airflow(home=tmp_path_factory.mktemp("airflow"))
    folder = airflow.home / "dags"
    folder.mkdir()
    (folder / "offender.py").write_text(OFFENDER)
    (folder / "allowed.py").write_text(ALLOWED)
    airflow.run("db", "migrate")
    airflow.process_dags(until="(SELECT count(*) FROM dag) = 2 AND (SELECT count(*) FROM import_error) = 1")
    return airflow


def test_the_dag_is_there_and_runs_although_new_dags_are_paused(airflow: Airflow) -> None:
    dags = airflow.rows("SELECT dag_id, bundle_name, is_paused, max_active_runs FROM dag")

    assert sorted(dags) == [
        ("ordinary", "dags-folder", 1, 16),
        ("orrery_monitoring_dag", "orrery-system", 0, 1),
    ]
    assert airflow.rows(IN_FORCE) == [("*/5 * * * *",)]
    tags = airflow.rows("SELECT name FROM dag_tag WHERE dag_id = 'orrery_monitoring_dag' ORDER BY name")
    assert tags == [("monitoring",), ("orrery",)]


def test_its_task_comes_first_in_a_pool_of_its_own(airflow: Airflow) -> None:
    ((text,),) = airflow.rows("SELECT data FROM serialized_dag WHERE dag_id = 'orrery_monitoring_dag'")
    dag = json.loads(text)["dag"]
    (task,) = (task["__var"] for task in dag["tasks"])

    assert dag["catchup"] is False
    assert task["pool"] == "orrery_system"
    assert task["priority_weight"] == 2**31 - 1
    assert task["do_xcom_push"] is False
    assert airflow.rows("SELECT slots > 0 FROM slot_pool WHERE pool = 'orrery_system'") == [(1,)]


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM slot_pool WHERE pool = 'orrery_system'", "UPDATE slot_pool SET slots = 0 WHERE id > 1"],
)
def test_a_pool_that_was_taken_away_comes_back(airflow: Airflow, damage: str) -> None:
    airflow.execute(damage)

    airflow.process_dags(until="(SELECT slots FROM slot_pool WHERE pool = 'orrery_system') = 8")


def test_a_file_of_the_users_that_borrows_the_name_is_an_import_error(airflow: Airflow) -> None:
    ((file, bundle, text),) = airflow.rows("SELECT filename, bundle_name, stacktrace FROM import_error")

    assert (file, bundle) == ("offender.py", "dags-folder")
    assert "AirflowClusterPolicyViolation" in text
    assert "'orrery_', which is reserved" in text
    assert "'my_monitoring_dag'" in text


def test_the_rhythm_is_the_users(airflow: Airflow) -> None:
    airflow.process_dags(
        AIRFLOW_MONITORING_DAG_SCHEDULE_INTERVAL="*/2 * * * *",
        until=f"({IN_FORCE}) = '*/2 * * * *'",
    )


def test_a_wrong_rhythm_is_reported_where_people_look_and_the_default_used(airflow: Airflow) -> None:
    airflow.process_dags(
        AIRFLOW_MONITORING_DAG_SCHEDULE_INTERVAL="now and then",
        until="EXISTS (SELECT 1 FROM dag WHERE description LIKE '%is ''now and then''%')",
    )

    assert airflow.rows(IN_FORCE) == [("*/5 * * * *",)]
    assert ("wrong-schedule",) in airflow.rows("SELECT name FROM dag_tag")


def test_the_heartbeat_beats(airflow: Airflow) -> None:
    output = airflow.run("dags", "test", "orrery_monitoring_dag")

    assert "Orrery's heartbeat of run" in output
    states = airflow.rows("SELECT state FROM dag_run WHERE dag_id = 'orrery_monitoring_dag'")
    assert states == [("success",)]
    assert airflow.rows("SELECT count(*) FROM xcom") == [(0,)]
