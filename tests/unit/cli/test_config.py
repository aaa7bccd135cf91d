"""`orrery config`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from orrery.cli.config import config
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "ORRERY"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    folder = tmp_path / "somewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(config, [*arguments, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_outside_a_project_explain_tells_orrerys_default() -> None:
    found = run("explain", "dag_processor.refresh_interval")
    assert found["why"]
    assert {key: found[key] for key in ("value", "source", "airflow_default", "orrery_default")} == {
        "value": "30",
        "source": "orrery",
        "airflow_default": "300",
        "orrery_default": "30",
    }


def test_list_changed_leaves_out_what_nobody_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__PORT", "8099")
    changed = {f"{each['section']}.{each['option']}": each for each in run("list", "--changed")}
    assert changed["api.port"]["source"] == "environment"
    assert changed["core.fernet_key"]["value"] == "***"
    assert "api.host" not in changed
    assert len(run("list")) > 300


def test_a_project_brings_its_env_its_file_and_the_local_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "dags").mkdir(parents=True)
    (project / ".env").write_text("AIRFLOW__API__PORT=8081\nAIRFLOW__API__HOST=from-env-file\n")
    home = project / ".orrery" / "airflow"
    home.mkdir(parents=True)
    (home / "airflow.cfg").write_text("[core]\nparallelism = 3\n")
    monkeypatch.setenv("AIRFLOW__API__HOST", "from-shell")
    monkeypatch.chdir(project / "dags")
    assert run("explain", "api.port")["value"] == "8081"
    assert run("explain", "api.host")["value"] == "from-shell"
    assert run("explain", "core.parallelism")["source"] == "airflow.cfg"
    assert run("explain", "dag_processor.refresh_interval")["value"] == "2"
    assert run("explain", "dag_processor.refresh_interval", "--profile", "none")["value"] == "30"
    (project / "airflow.cfg").write_text("[core]\nparallelism = 4\n")
    assert run("explain", "core.parallelism")["value"] == "4"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was never started, and the shell inside it."""
    root = tmp_path / "shop"
    (root / "dags").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


def facts(name: str) -> tuple[str, str, str | None]:
    found = run("explain", name)
    return found["value"], found["source"], found["note"]


def test_in_a_project_the_deployment_says_what_it_sets(project: Path) -> None:
    (project / "orrery.yaml").write_text("local:\n  port: 8099\n")
    state = project / ".orrery"
    assert facts("core.dags_folder") == (str(project / "dags"), "deployment", None)
    assert facts("core.plugins_folder") == (str(project / "plugins"), "deployment", None)
    assert facts("logging.base_log_folder") == (str(state / "logs" / "tasks"), "deployment", None)
    assert facts("api.base_url") == ("http://localhost:8099", "deployment", None)
    assert facts("api.instance_name") == ("shop", "deployment", None)
    assert facts("database.sql_alchemy_conn") == ("***", "deployment", None)
    assert facts("core.fernet_key") == ("***", "orrery", None)
    changed = {f"{each['section']}.{each['option']}": each["source"] for each in run("list", "--changed")}
    assert changed["core.dags_folder"] == "deployment"


def test_looking_at_a_project_makes_no_file(project: Path) -> None:
    run("list")
    assert [path.name for path in project.rglob("*")] == ["dags"]


def test_the_ports_are_those_of_the_running_deployment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orrery.local.record import Record
    from orrery.local.state import State
    from orrery.local.supervisor import Supervisor

    state = State(project / ".orrery")
    state.ensure()
    Record(
        port=8123,
        postgres_port=5555,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        programs="/programs",
        planned_port=8080,
        database=None,
    ).write(state)
    assert facts("api.base_url")[0] == "http://localhost:8080"
    monkeypatch.setattr(Supervisor, "is_running", lambda _: True)
    assert facts("api.base_url")[0] == "http://localhost:8123"


def test_a_setting_of_the_users_that_the_deployment_fixes_is_told_to_be_unused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".env").write_text(
        "AIRFLOW__CORE__DAGS_FOLDER=/mine\nAIRFLOW__CORE__SQL_ALCHEMY_CONN=sqlite:////hush\n"
    )
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", "/theirs")
    (project / "airflow.cfg").write_text("[logging]\nbase_log_folder = /logs\n")
    assert facts("core.dags_folder") == (
        str(project / "dags"),
        "deployment",
        "Your value /mine of .env is not used: orrery up fixes this option.",
    )
    assert facts("core.plugins_folder")[2] == (
        "Your value /theirs of the shell is not used: orrery up fixes this option."
    )
    assert facts("logging.base_log_folder")[1:] == (
        "deployment",
        (
            "Your value /logs of airflow.cfg is not used: orrery up sets AIRFLOW__LOGGING__BASE_LOG_FOLDER, "
            "which wins over logging.base_log_folder."
        ),
    )
    value, source, note = facts("database.sql_alchemy_conn")
    assert (value, source) == ("***", "deployment")
    assert "AIRFLOW__CORE__SQL_ALCHEMY_CONN" in (note or "")
    assert "hush" not in (note or "")


def test_a_setting_of_the_users_that_the_deployment_only_suggests_wins(project: Path) -> None:
    (project / ".env").write_text("AIRFLOW__API__BASE_URL=https://shop.example\n")
    assert facts("api.base_url") == ("https://shop.example", "environment", None)


def test_with_our_defaults_off_the_deployment_still_fixes_its_layout_and_makes_the_secrets(
    project: Path,
) -> None:
    (project / ".env").write_text("ORRERY_DEFAULTS=off\n")
    assert facts("core.dags_folder")[1] == "deployment"
    assert facts("core.fernet_key") == ("***", "deployment", None)
    assert facts("dag_processor.refresh_interval")[:2] == ("300", "airflow")


def test_a_project_with_a_wrong_file_is_refused_and_can_be_left_out(project: Path) -> None:
    (project / "orrery.yaml").write_text("nmae: x\n")
    with pytest.raises(InputError, match="name"):
        run("explain", "core.dags_folder")
    assert run("explain", "core.dags_folder", "--profile", "none")["source"] == "airflow"


def test_inside_a_process_of_orrerys_the_values_are_still_orrerys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from orrery import boot

    boot.apply(os.environ)
    try:
        assert run("explain", "dag_processor.refresh_interval")["source"] == "orrery"
    finally:
        monkeypatch.setenv("ORRERY_DEFAULTS", "off")
        boot.apply(os.environ)


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(config, ["explain", "core.paralelism"], catch_exceptions=False)
    assert "core.parallelism" in (caught.value.hint or "")


def test_for_people_the_facts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(config, ["explain", "core.fernet_key"])
    assert "***" in done.output
    assert "Why" in done.output
    assert CliRunner().invoke(config, ["list", "--changed"]).output.count("orrery") > 10
