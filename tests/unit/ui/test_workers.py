"""The route of the workers: who may ask, and whose tasks are named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagDetails
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.dag import DagModel
from fastapi.testclient import TestClient

from orrery.executor import store
from orrery.executor.advice import UsageSummary
from orrery.executor.resources import Resources
from orrery.executor.snapshot import NodeView, Snapshot, TaskView
from orrery.ui import workers
from orrery.ui.views import create_app

if TYPE_CHECKING:
    from collections.abc import Iterable


class Manager:
    """An auth manager of which each answer can be chosen."""

    def __init__(self) -> None:
        self.views = {AccessView.JOBS}
        self.dags = {"etl", "team_dag"}
        self.may_read_task_instances = True
        self.asked: list[str | None] = []

    def is_authorized_view(self, *, access_view: AccessView, user: object) -> bool:
        return access_view in self.views

    def is_authorized_dag(
        self, *, method: str, access_entity: object, details: DagDetails, user: object
    ) -> bool:
        return self.may_read_task_instances

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: object, method: str, team_name: str | None
    ) -> set[str]:
        self.asked.append(team_name)
        return dag_ids & self.dags


def runs(dag_id: str) -> TaskView:
    return TaskView(ti_id=f"of {dag_id}", dag_id=dag_id, task_id="load", run_id="r", node="a")


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    made = Manager()
    monkeypatch.setattr(security, "get_auth_manager", lambda: made)
    monkeypatch.setattr(workers, "get_auth_manager", lambda: made)
    monkeypatch.setattr(
        DagModel, "get_dag_id_to_team_name_mapping", lambda ids, session: {"team_dag": "blue"}
    )
    return made


@pytest.fixture
def client(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The routes on snapshots and usage of our choice instead of a database."""
    snapshot = Snapshot(
        scheduler="one",
        taken_at=datetime.now(UTC),
        nodes=(NodeView(name="a", state="ready"),),
        running=(runs("etl"), runs("secret"), runs("team_dag")),
    )
    asked = UsageSummary(
        runs=9,
        resources=Resources(memory_bytes=2**31),
        memory_peak_bytes=2**28,
        cpu_p95_millicores=None,
        advice="ask less",
    )

    def usage_of(session: object, tasks: Iterable[tuple[str, str]]) -> dict[tuple[str, str], UsageSummary]:
        return dict.fromkeys(tasks, asked)

    monkeypatch.setattr(store, "read_snapshots", lambda session, newer_than: [snapshot])
    monkeypatch.setattr(store, "usage_of", usage_of)
    app = create_app()
    app.dependency_overrides[get_user] = object
    app.dependency_overrides[_get_session] = lambda: None
    return TestClient(app)


def named(answer: Any) -> set[str]:
    return {row["dag_id"] for part in ("running", "waiting", "advice") for row in answer[part]}


def test_who_may_not_read_jobs_gets_nothing(client: TestClient, manager: Manager) -> None:
    manager.views = set(AccessView) - {AccessView.JOBS}

    answer = client.get("/v1/workers")

    assert answer.status_code == 403
    assert "etl" not in answer.text


def test_tasks_of_dags_that_may_not_be_read_are_counted_not_named(client: TestClient) -> None:
    answer = client.get("/v1/workers")

    assert answer.status_code == 200
    assert named(answer.json()) == {"etl", "team_dag"}
    assert "secret" not in answer.text
    assert (answer.json()["running_total"], answer.json()["hidden_tasks"]) == (3, 1)
    assert answer.json()["nodes"][0]["running"] == 3


def test_the_auth_manager_is_asked_with_the_team_of_each_dag(client: TestClient, manager: Manager) -> None:
    client.get("/v1/workers")

    assert sorted(manager.asked, key=str) == [None, "blue"]


def test_who_may_read_no_task_instances_sees_no_task(client: TestClient, manager: Manager) -> None:
    manager.may_read_task_instances = False

    assert named(client.get("/v1/workers").json()) == set()


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ("LocalExecutor", "LocalExecutor"),
        ("orrery.executor.executor.PackingExecutor", "PackingExecutor"),
        ("LocalExecutor,my.module.Own", "LocalExecutor, Own"),
    ],
)
def test_the_executor_is_told_by_its_own_name(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, configured: str, told: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", configured)

    assert client.get("/v1/workers").json()["executor"] == told
