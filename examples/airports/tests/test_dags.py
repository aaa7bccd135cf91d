"""Every DAG of the project imports, and keeps the project's promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag


@pytest.fixture(scope="module")
def bag():
    return DagBag(Path(__file__).resolve().parents[1] / "dags")


def test_every_file_imports(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == {"airports_ingest", "airports_report"}


def test_every_task_has_an_owner_and_is_retried(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert task.owner == "data-platform", task
            assert task.retries >= 1, task


def test_the_report_follows_the_data(bag):
    (announce,) = (task for task in bag.dags["airports_ingest"].tasks if task.outlets)
    assert announce.outlets[0] == bag.dags["airports_report"].timetable.asset_condition.objects[0]
