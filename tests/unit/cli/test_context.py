"""From a project's files and the shell to the plan of a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery import __version__
from orrery.cli import context
from orrery.errors import InputError
from orrery.project.layout import find_project

if TYPE_CHECKING:
    from pathlib import Path

    from orrery.local.plan import Plan


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with no file of settings, and the shell inside it."""
    root = tmp_path / "shop"
    (root / "dags").mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("ORRERY_CACHE_DIR", str(tmp_path / "cache"))
    return root


def planned(root: Path) -> Plan:
    return context.plan(find_project(root))


def test_a_project_without_settings_gets_the_defaults(project: Path) -> None:
    plan = planned(project)
    assert (plan.name, plan.root, plan.runtime) == ("shop", project, __version__)
    assert (plan.database_url, plan.port, plan.providers) == (None, 8080, "slim")
    assert plan.cache == project.parent / "cache"
    assert (plan.seeds.connections, plan.seeds.variables, plan.seeds.pools) == ((), (), ())


@pytest.mark.parametrize("written", ["17", "17.0", "17.0.0"])
def test_a_runtime_may_be_written_short_and_is_planned_in_full(project: Path, written: str) -> None:
    (project / "orrery.yaml").write_text(f"runtime: '{written}'\n")
    assert planned(project).runtime == __version__


def test_planning_makes_no_file(project: Path) -> None:
    planned(project)
    assert [path.name for path in project.rglob("*")] == ["dags"]


def test_the_settings_of_orrery_yaml_are_used(project: Path) -> None:
    (project / "orrery.yaml").write_text(
        "name: store\nproviders: full\npython: '3.12'\nlocal:\n  port: 8099\n"
        "database:\n  url: postgresql://u:${DB_PASSWORD}@h/d\n"
    )
    (project / ".env").write_text("DB_PASSWORD=hunter2\n")
    plan = planned(project)
    assert (plan.name, plan.providers, plan.python, plan.port) == ("store", "full", "3.12", 8099)
    assert plan.database_url == "postgresql://u:hunter2@h/d"


def test_the_shell_wins_over_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("REGION=file\nCITY=file\n")
    monkeypatch.setenv("REGION", "shell")
    environment = planned(project).environment
    assert (environment["REGION"], environment["CITY"]) == ("shell", "file")


def test_connections_variables_and_pools_become_bodies_of_airflows_api(project: Path) -> None:
    (project / "airflow_settings.yaml").write_text(
        "airflow:\n"
        "  connections:\n"
        "    - {conn_id: db, conn_type: postgres, conn_host: h, conn_port: 5432, conn_login: u}\n"
        "  variables:\n    - {variable_name: region, variable_value: eu}\n"
        "  pools:\n    - {pool_name: small, pool_slot: 2, pool_description: few}\n"
    )
    seeds = planned(project).seeds
    assert seeds.connections == (
        {"connection_id": "db", "conn_type": "postgres", "host": "h", "login": "u", "port": 5432},
    )
    assert seeds.variables == ({"key": "region", "value": "eu"},)
    assert seeds.pools == ({"name": "small", "slots": 2, "description": "few", "include_deferred": False},)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("orrery.yaml", "nmae: x\n", "name"),
        ("orrery.yaml", "local:\n  port: high\n", "port"),
        ("orrery.yaml", "runtime: 99.0.0\n", "99.0.0"),
        ("requirements.txt", "apache-airflow==2.9\n", "apache-airflow"),
        ("airflow_settings.yaml", "airflow: [", "airflow_settings.yaml"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_made(
    project: Path, file: str, text: str, told: str
) -> None:
    (project / file).write_text(text)
    with pytest.raises(InputError, match=told):
        context.starter()
    assert not (project / ".orrery").exists()


def test_a_deployment_can_be_looked_at_whatever_its_files_say(project: Path) -> None:
    (project / "orrery.yaml").write_text("nmae: [\n")
    (project / "requirements.txt").write_text("apache-airflow==2.9\n")
    assert context.local_deployment(quiet=True).status().state == "stopped"


def test_a_folder_inside_a_project_is_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "dags")
    assert context.local_deployment().state.root == project / ".orrery"


def test_a_folder_that_is_no_project_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is no project") as caught:
        context.local_deployment()
    assert "orrery init" in (caught.value.hint or "")
