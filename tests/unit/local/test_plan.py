"""The environment of the components: the user's settings over ours, the layout over both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orrery.local.plan import Plan, Ports, component_environment
from orrery.local.state import State

if TYPE_CHECKING:
    from pathlib import Path

PORTS = Ports(api_server=8090, postgres=5555)
URL = "postgresql+psycopg2://orrery:p@127.0.0.1:5555/airflow"


def plan(root: Path, **environment: str) -> Plan:
    return Plan(
        name="shop",
        root=root,
        dags=root / "dags",
        plugins=root / "plugins",
        requirements=root / "requirements.txt",
        state=State(root / ".orrery"),
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        database_url=None,
        port=8080,
        environment=environment,
        cache=root / "cache",
    )


def made(root: Path, *, connection_url: str | None = None, **environment: str) -> dict[str, str]:
    return component_environment(
        plan(root, **environment), ports=PORTS, database_url=URL, connection_url=connection_url
    )


def test_the_ports_are_those_of_this_deployment_not_those_wished_for(tmp_path: Path) -> None:
    environment = made(tmp_path)
    assert environment["AIRFLOW__API__BASE_URL"] == "http://localhost:8090"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8090/execution/"


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW__API__BASE_URL",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__API__INSTANCE_NAME",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
        "AIRFLOW__CORE__PARALLELISM",
        "HTTPS_PROXY",
    ],
)
def test_the_users_setting_wins_over_ours(tmp_path: Path, name: str) -> None:
    assert made(tmp_path, **{name: "mine"})[name] == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__PLUGINS_FOLDER",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "ORRERY_DEPLOYMENT",
        "ORRERY_PROFILE",
        "ORRERY_SECRETS_DIR",
        "SPT_NOENV",
    ],
)
def test_what_the_layout_fixes_wins_over_the_user(tmp_path: Path, name: str) -> None:
    # Given a shell that has another deployment's value
    assert made(tmp_path, **{name: "another"})[name] == made(tmp_path)[name]
    assert made(tmp_path)[name] != "another"


@pytest.mark.parametrize(
    "name",
    ["PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "ORRERY_DEFAULTS_APPLIED", "AIRFLOW_CONFIG"],
)
def test_what_belongs_to_the_tools_own_python_stays_outside(tmp_path: Path, name: str) -> None:
    assert name not in made(tmp_path, **{name: "x"})


def test_a_deployment_carries_its_mark(tmp_path: Path) -> None:
    assert made(tmp_path)["ORRERY_DEPLOYMENT"] == State(tmp_path / ".orrery").deployment_id


def test_the_project_is_importable_before_the_users_own_path(tmp_path: Path) -> None:
    assert made(tmp_path)["PYTHONPATH"] == str(tmp_path)
    assert made(tmp_path, PYTHONPATH="/more:/still")["PYTHONPATH"] == f"{tmp_path}:/more:/still"


def test_a_projects_own_airflow_cfg_is_used(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\n")
    assert made(tmp_path, AIRFLOW_CONFIG="/other")["AIRFLOW_CONFIG"] == str(tmp_path / "airflow.cfg")


@pytest.mark.parametrize(("url", "expected"), [(None, None), ("postgresql://w@h/d", "postgresql://w@h/d")])
def test_pipelines_get_a_connection_where_there_is_a_server_of_ours(
    tmp_path: Path, url: str | None, expected: str | None
) -> None:
    assert made(tmp_path, connection_url=url).get("AIRFLOW_CONN_ORRERY_POSTGRES") == expected


def test_the_users_own_connection_of_that_name_wins(tmp_path: Path) -> None:
    environment = made(tmp_path, connection_url="postgresql://ours", AIRFLOW_CONN_ORRERY_POSTGRES="theirs")
    assert environment["AIRFLOW_CONN_ORRERY_POSTGRES"] == "theirs"


def test_every_value_is_text_as_a_process_needs_it(tmp_path: Path) -> None:
    values: list[Any] = list(made(tmp_path, connection_url="x", PATH="/bin").values())
    assert all(isinstance(value, str) for value in values)


def test_what_the_deployment_file_says_of_tasks_reaches_the_components(tmp_path: Path) -> None:
    said = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__ORRERY_EXECUTOR__CPU_CAP": "true"}
    asked = replace(plan(tmp_path, AIRFLOW__CORE__EXECUTOR="CeleryExecutor"), task_settings=said)
    environment = component_environment(asked, ports=PORTS, database_url=URL, connection_url=None)
    assert environment["AIRFLOW__ORRERY_EXECUTOR__CPU_CAP"] == "true"
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
