"""Who has set an option, and why."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from orrery.config import explain
from orrery.config.capacity import Machine
from orrery.config.settings import load_settings
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def configuration(
    home: Path, environment: dict[str, str] | None = None, *, profile: str | None = None
) -> explain.Configuration:
    whole = {"AIRFLOW_HOME": str(home)} | (environment or {})
    machine = Machine(cores=2, memory_bytes=16 * 1024**3)
    return explain.configuration(whole, load_settings(whole), profile=profile, machine=machine)


def test_our_default_is_explained(tmp_path: Path) -> None:
    found = configuration(tmp_path).explain("dag_processor.refresh_interval")
    assert (found.value, found.source) == ("30", "orrery")
    assert (found.airflow_default, found.orrery_default) == ("300", "30")
    assert found.why
    assert found.description
    assert found.variable == "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"


def test_the_users_values_tell_their_place(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 3\n[scheduler]\ndag_dir_list_interval = 4\n")
    found = configuration(
        tmp_path, {"AIRFLOW__API__PORT": "81", "AIRFLOW__CELERY__STALLED_TASK_TIMEOUT": "5"}
    )
    sources = {
        name: (found.explain(name).value, found.explain(name).source)
        for name in (
            "core.parallelism",
            "dag_processor.refresh_interval",
            "api.port",
            "scheduler.task_queued_timeout",
            "api.host",
        )
    }
    assert sources == {
        "core.parallelism": ("3", "airflow.cfg"),
        "dag_processor.refresh_interval": ("4", "airflow.cfg (old name scheduler.dag_dir_list_interval)"),
        "api.port": ("81", "environment"),
        "scheduler.task_queued_timeout": (
            "5",
            "environment (old name AIRFLOW__CELERY__STALLED_TASK_TIMEOUT)",
        ),
        "api.host": ("0.0.0.0", "airflow"),
    }


def test_the_local_profile_has_its_own_default(tmp_path: Path) -> None:
    found = configuration(tmp_path, profile="local").explain("dag_processor.refresh_interval")
    assert found.orrery_default == "2"


def test_switched_off_there_is_only_airflow(tmp_path: Path) -> None:
    found = configuration(tmp_path, {"ORRERY_DEFAULTS": "off", "AIRFLOW__CELERY__STALLED_TASK_TIMEOUT": "5"})
    assert all(each.source == "airflow" for each in found.all())
    assert all(each.orrery_default is None for each in found.all())


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[api]\nsecret_key = hush1\n[celery]\nbroker_url = hush2\n")
    found = configuration(
        tmp_path,
        {
            "AIRFLOW__CORE__FERNET_KEY": "hush3",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat hush4",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "sftp://me:hush5@host/logs",
        },
    )
    text = json.dumps([dataclasses.asdict(each) for each in found.all()])
    assert "hush" not in text
    assert found.explain("core.fernet_key").value == "***"
    assert found.explain("database.sql_alchemy_conn").source == "environment"
    assert found.explain("database.sql_alchemy_conn").value == "***"
    assert found.explain("logging.remote_base_log_folder").value == "sftp://me:***@host/logs"
    made = found.explain("api_auth.jwt_secret")
    assert (made.value, made.source) == ("***", "orrery")


def test_a_command_for_an_option_that_takes_none_is_told(tmp_path: Path) -> None:
    found = configuration(tmp_path, {"AIRFLOW__CORE__PARALLELISM_CMD": "nproc"}).explain("core.parallelism")
    assert (found.value, found.source) == ("32", "airflow")
    assert "no effect" in (found.note or "")


def test_the_system_bundle_shows_in_the_users_list(tmp_path: Path) -> None:
    variable = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    found = configuration(tmp_path, {variable: '[{"name": "git"}]'}).explain(variable)
    assert [bundle["name"] for bundle in json.loads(found.value or "")] == ["git", "orrery-system"]
    assert found.source == "environment"


def test_a_command_for_the_bundle_list_changes_nothing(tmp_path: Path) -> None:
    variable = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    found = configuration(tmp_path, {variable + "_CMD": "cat bundles"}).explain(variable)
    assert "orrery-system" in (found.value or "")
    assert (found.source, bool(found.note)) == ("orrery", True)


def test_a_file_that_cannot_be_read_is_an_error_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("nonsense\n")
    with pytest.raises(InputError, match="cannot be read"):
        configuration(tmp_path)


def test_explaining_makes_nothing(tmp_path: Path) -> None:
    configuration(tmp_path).all()
    assert list(tmp_path.iterdir()) == []
