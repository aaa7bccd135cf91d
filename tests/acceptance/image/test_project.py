"""A project's image: built from its files, run as a deployment, stopped in the middle of a task."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from .conftest import UNKNOWN_USER, Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Docker


def test_the_projects_files_have_the_right_owner(docker: Docker, image: str) -> None:
    listed = docker(
        "run", "--rm", image, "stat", "--format", "%u:%g", "dags/weather.py", "include", "plugins"
    )
    assert set(listed.split()) == {"50000:0"}


def test_dockerignore_is_honoured(docker: Docker, image: str) -> None:
    ended = docker.try_("run", "--rm", image, "ls", "notes.md")
    assert ended.returncode == 2


def test_what_the_project_adds_shows_in_the_difference(docker: Docker, runtime: str, image: str) -> None:
    ended = docker.orrery("image", "diff", runtime, image, "-o", "json")
    assert ended.returncode == 0, ended.stderr
    assert [(change["kind"], change["name"]) for change in json.loads(ended.stdout)] == [
        ("package", "airportsdata")
    ]


def test_the_plugin_is_found(docker: Docker, image: str) -> None:
    assert "weather" in docker("run", "--rm", image, "airflow", "plugins")


@pytest.mark.parametrize(
    "wrong",
    [
        ("packages.txt", "nosuchpackage-xyz\n", "Debian has no package 'nosuchpackage-xyz'"),
        ("packages.txt", "jq; touch /proof\n", "is no name of a Debian package"),
        ("requirements.txt", "apache-airflow==3.2.0\n", "asks for apache-airflow==3.2.0"),
        ("requirements.txt", "sqlalchemy==1.4.0\n", "conflicts with runtime"),
        ("requirements.txt", "--index-url https://a:b@example.org/simple\n", "holds a password"),
    ],
)
def test_a_wrong_file_fails_the_build_with_the_reason(
    docker: Docker, runtime: str, tmp_path: Path, wrong: tuple[str, str, str], authorities: tuple[str, ...]
) -> None:
    file, content, says = wrong
    (tmp_path / "dags").mkdir()
    (tmp_path / "Dockerfile").write_text(f"FROM {runtime}\n")
    (tmp_path / file).write_text(content)
    ended = docker.orrery("image", "build", "--tag", f"{docker.mark}-wrong", *authorities, folder=tmp_path)
    assert ended.returncode == 2, ended.stdout
    assert says in ended.stderr
    assert "Next:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_astro_project_builds_and_its_dockerfile_stays(
    docker: Docker, runtime: str, tmp_path: Path, authorities: tuple[str, ...]
) -> None:
    docker("tag", runtime, "orrery/runtime:17.0.0")
    (tmp_path / "dags").mkdir()
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM quay.io/astronomer/astro-runtime:8.2.0\nENV SEEN=yes\n")
    refused = docker.orrery("image", "build", folder=tmp_path)
    assert refused.returncode == 2
    assert "--from-astro" in refused.stderr
    name = f"{docker.mark}-astro:1"
    built = docker.orrery("image", "build", "--from-astro", "--tag", name, *authorities, folder=tmp_path)
    assert built.returncode == 0, built.stderr
    assert "+ FROM orrery/runtime:17.0.0" in built.stderr
    assert dockerfile.read_text().startswith("FROM quay.io/")
    assert docker("run", "--rm", name, "printenv", "SEEN").strip() == "yes"


@pytest.mark.parametrize("component", Deployment.components)
def test_every_component_becomes_healthy(deployment: Deployment, component: str) -> None:
    deployment.waits_for(lambda: deployment.health(component) == "healthy", f"{component} is healthy")


@pytest.mark.parametrize("component", Deployment.components)
def test_a_component_is_nobody_special_and_writes_to_its_volumes_alone(
    docker: Docker, deployment: Deployment, component: str
) -> None:
    # As a deployment of somebody's own account has it.
    user = UNKNOWN_USER if os.getuid() == 0 else os.getuid()
    script = (
        "id -u; id -g; touch /usr/local/airflow/proof /etc/proof 2>&1; touch /usr/local/airflow/logs/proof"
    )
    said = docker("exec", deployment.container(component), "sh", "-c", script).splitlines()
    assert said[:2] == [str(user), "0"]
    assert [line.rpartition(": ")[2] for line in said[2:]] == ["Read-only file system"] * 2


def test_a_dag_of_the_project_succeeds(deployment: Deployment) -> None:
    def state() -> list[list[str]]:
        return deployment.sql("SELECT state FROM dag_run WHERE dag_id = 'weather'")

    deployment.waits_for(lambda: state() in ([["success"]], [["failed"]]), "the run of 'weather' ends")
    assert state() == [["success"]], deployment.logs("worker")


def test_a_worker_that_is_asked_to_stop_lets_its_task_end(docker: Docker, deployment: Deployment) -> None:
    docker("exec", deployment.container("scheduler"), "airflow", "dags", "trigger", "patience")

    def state() -> list[list[str]]:
        return deployment.sql("SELECT state FROM task_instance WHERE dag_id = 'patience'")

    deployment.waits_for(lambda: state() == [["running"]], "the task runs")
    worker = deployment.container("worker")
    docker("stop", "--time", "60", worker)
    deployment.waits_for(lambda: state() != [["running"]], "the task ends")
    assert state() == [["success"]], docker.try_("logs", worker).stdout
    code = docker("inspect", "--format", "{{.State.ExitCode}}", worker).strip()
    assert code == "0"
