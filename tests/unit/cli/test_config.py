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
