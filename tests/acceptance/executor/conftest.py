"""Deployments for the tests of the executor."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.executor.running import HERE, Running, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.executor.running import Executor

    Make = Callable[..., Running]

#: Where tables for people go, beside the other results of tests.
RESULTS = Path(__file__).parents[3] / "test-results"


@pytest.fixture(scope="session")
def results() -> Path:
    RESULTS.mkdir(exist_ok=True)
    return RESULTS


@pytest.fixture(scope="module")
def make_running(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Make]:
    """Make deployments of chosen executors; whatever was started is stopped at the module's end."""
    made: list[Running] = []

    def make(name: str, executor: Executor) -> Running:
        made.append(Running(tmp_path_factory.mktemp("deployments") / name, executor, environment))
        return made[-1]

    yield make
    for running in made:
        running.down()


@pytest.fixture(scope="module")
def wild(make_running: Make) -> Running:
    """A deployment with the packing executor and the DAGs of faults and misbehaviour, room for 100 tasks."""
    running = make_running("wild", "packing")
    running.worker = {"capacity": {"cpu": 8, "memory": "16Gi", "disk": "10Gi"}}
    running.settings = {"AIRFLOW__ORRERY_EXECUTOR__PIDS_LIMIT": "200"}
    dags = sorted((HERE / "wild").glob("*.py"))
    running.make(dags)
    running.up(free_port())
    until(lambda: len(running.dag_ids()) >= len(dags), limit_seconds=60, what="the DAGs are known")
    return running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
