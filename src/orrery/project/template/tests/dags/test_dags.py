"""Every DAG imports, has a tag, and retries: the mistakes that are cheapest to find before a deploy."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def dag_bag() -> DagBag:
    return DagBag(dag_folder=DAGS)


def test_every_file_imports(dag_bag: DagBag) -> None:
    assert not dag_bag.import_errors


def test_every_dag_has_a_tag(dag_bag: DagBag) -> None:
    assert [name for name, dag in dag_bag.dags.items() if not dag.tags] == []


def test_every_task_retries(dag_bag: DagBag) -> None:
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    assert [f"{task.dag_id}.{task.task_id}" for task in tasks if task.retries < 1] == []
