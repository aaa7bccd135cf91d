"""The prefix `orrery_` is reserved for the package's own DAGs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROBE = """
import json, sys
from types import SimpleNamespace
import airflow.settings
before = set(sys.modules)
from orrery.monitoring import policy
added = sorted(set(sys.modules) - before)
answers = {}
for dag_id, fileloc in json.loads(sys.argv[1]):
    fileloc = fileloc.replace("PACKAGE", str(policy.SYSTEM_DAGS_FOLDER))
    try:
        policy.dag_policy(SimpleNamespace(dag_id=dag_id, fileloc=fileloc))
        answers[dag_id] = None
    except Exception as error:
        answers[dag_id] = [type(error).__name__, str(error)]
print(json.dumps({"added": added, "answers": answers}))
"""


def ask(home: Path, *dags: tuple[str, str]) -> dict[str, dict[str, list[str] | None]]:
    """Judge DAGs in a process of their own: importing Airflow is not a thing to do in a test runner."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(dags)],
        env={**os.environ, "AIRFLOW_HOME": str(home), "ORRERY_DEFAULTS": "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, dict[str, list[str] | None]] = json.loads(result.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str] | None]]:
    return ask(
        tmp_path_factory.mktemp("airflow"),
        ("orrery_monitoring_dag", "PACKAGE/orrery_monitoring_dag.py"),
        ("orrery_sales", "/project/dags/sales.py"),
        ("orrery_sneaky", "PACKAGE/../../../../dags/sales.py"),
        ("orrery_neighbour", "PACKAGE-of-a-neighbour/sales.py"),
        ("sales", "/project/dags/sales.py"),
        ("my_orrery_sales", "/project/dags/sales.py"),
        ("orrerysales", "/project/dags/sales.py"),
    )


@pytest.mark.parametrize("dag_id", ["orrery_monitoring_dag", "sales", "my_orrery_sales", "orrerysales"])
def test_other_names_and_our_own_files_are_free(judged: dict[str, dict[str, list[str]]], dag_id: str) -> None:
    assert judged["answers"][dag_id] is None


@pytest.mark.parametrize("dag_id", ["orrery_sales", "orrery_sneaky", "orrery_neighbour"])
def test_a_borrowed_name_is_refused(judged: dict[str, dict[str, list[str]]], dag_id: str) -> None:
    kind, message = judged["answers"][dag_id]

    assert kind == "AirflowClusterPolicyViolation"
    assert dag_id in message
    assert "sales.py" in message
    assert dag_id.replace("orrery_", "my_") in message


def test_the_policy_costs_a_process_of_airflow_nothing_more(judged: dict[str, list[str]]) -> None:
    # Airflow itself has loaded the policy already, through its entry point, or loads it now: alone.
    assert set(judged["added"]) <= {"orrery.monitoring", "orrery.monitoring.policy", "orrery"}


def test_airflow_finds_the_policy() -> None:
    names = {entry.value for entry in entry_points(group="airflow.policy")}
    assert "orrery.monitoring.policy" in names
