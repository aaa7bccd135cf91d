"""What orrery.yaml says of tasks reaches the executor's own settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orrery.deployment.model import DEFAULT_EXECUTOR, Deployment
from orrery.deployment.variables import AUTH_MANAGERS, EXECUTORS, airflow_variables
from orrery.executor.request import Request
from orrery.executor.resources import Resources
from orrery.executor.settings import ExecutorSettings, read

NOTHING = Request(resources=Resources())


def deployment(**values: object) -> Deployment:
    return Deployment.model_validate({"name": "weather", **values})


def settings(given: Deployment) -> ExecutorSettings:
    """Read the variables back as the executor does."""
    variables = airflow_variables(given)
    return read(lambda option: variables.get(f"AIRFLOW__ORRERY_EXECUTOR__{option.upper()}"))


ACCESS = {
    "AIRFLOW__CORE__AUTH_MANAGER": "orrery.auth.manager.OrreryAuthManager",
    "AIRFLOW__ORRERY_AUTH__ORGANIZATION": "default",
    "AIRFLOW__ORRERY_AUTH__WORKSPACE": "default",
    "AIRFLOW__ORRERY_AUTH__DEPLOYMENT": "weather",
}


def test_a_file_that_says_nothing_sets_only_the_executor_and_access() -> None:
    assert airflow_variables(deployment()) == ACCESS | {
        "AIRFLOW__CORE__EXECUTOR": EXECUTORS[DEFAULT_EXECUTOR]
    }
    assert settings(deployment()) == ExecutorSettings()


@pytest.mark.parametrize(
    ("name", "executor"),
    [("packing", "orrery.executor.executor.PackingExecutor"), ("local", "LocalExecutor")],
)
def test_the_executor_is_named_as_airflow_loads_it(name: str, executor: str) -> None:
    variables = airflow_variables(deployment(executor=name))
    assert variables["AIRFLOW__CORE__EXECUTOR"] == executor


def test_a_default_does_not_undo_the_executor_of_an_airflow_cfg() -> None:
    assert airflow_variables(deployment(), executor_is_set=True) == ACCESS
    chosen = airflow_variables(deployment(executor="local"), executor_is_set=True)
    assert chosen == ACCESS | {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}


def test_a_default_does_not_undo_the_auth_manager_of_an_airflow_cfg() -> None:
    executor = {"AIRFLOW__CORE__EXECUTOR": EXECUTORS[DEFAULT_EXECUTOR]}
    assert airflow_variables(deployment(), auth_manager_is_set=True) == executor
    chosen = airflow_variables(deployment(auth={"manager": "simple"}), auth_manager_is_set=True)
    assert chosen == executor | {"AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGERS["simple"]}


def test_every_setting_of_tasks_arrives_in_the_executor() -> None:
    given = deployment(
        worker={
            "capacity": {"cpu": 4, "memory": "16Gi", "gpu": 1},
            "reserve": {},
            "default": {"memory": "512Mi"},
            "memory_limit_factor": "1.5",
            "cpu_cap": True,
            "preload_deny": ["torch"],
        },
        queues={"heavy": {"cpu": "1.5", "isolation": "namespace"}},
    )
    found = settings(given)
    assert found.capacity == Resources(cpu_millicores=4000, memory_bytes=16 * 1024**3, gpus=1)
    assert found.reserve == Resources()
    assert (found.memory_limit_factor, found.cpu_cap, found.preload_deny) == (1.5, True, ("torch",))
    assert found.request_for("heavy", NOTHING) == Request(
        resources=Resources(cpu_millicores=1500, memory_bytes=512 * 1024**2), isolation="namespace"
    )


def test_the_places_of_access_are_those_of_the_file() -> None:
    variables = airflow_variables(deployment(auth={"workspace": "data"}))
    assert variables["AIRFLOW__ORRERY_AUTH__ORGANIZATION"] == "default"
    assert variables["AIRFLOW__ORRERY_AUTH__WORKSPACE"] == "data"


def test_identity_providers_arrive_with_the_whole_path_of_their_secret() -> None:
    provider = {"id": "company", "issuer": "https://login.example.org", "client_id": "x"}
    given = deployment(auth={"providers": [{**provider, "client_secret_file": "secrets/oidc"}]})
    variables = airflow_variables(given, root=Path("/srv/weather"))
    (found,) = json.loads(variables["AIRFLOW__ORRERY_AUTH__PROVIDERS"])
    assert found["client_secret_file"] == "/srv/weather/secrets/oidc"
    assert (found["issuer"], found["groups_claim"]) == ("https://login.example.org", "groups")
    assert found["scopes"] == ["openid", "profile", "email"]
