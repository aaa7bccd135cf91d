"""The Compose file: who gets which secret, what waits for what, what is open."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from orrery.components import AIRFLOW_COMPONENTS
from orrery.deployment import compose
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PACKING = {"AIRFLOW__CORE__EXECUTOR": "orrery.executor.executor.PackingExecutor"}


WANTED = compose.Wanted(name="weather", image="weather:latest", port=8080, user=1000, settings=PACKING)


def wanted(**changes: Any) -> compose.Wanted:
    return replace(WANTED, **changes)


def services(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(compose.text(wanted(**changes)))["services"]
    return found


def test_every_component_waits_for_the_migration() -> None:
    found = services()
    for component in AIRFLOW_COMPONENTS:
        assert found[component.name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"}
        }
    assert found["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_the_worker_sees_no_secret() -> None:
    worker = services()["worker"]
    assert "secrets" not in str(worker["volumes"])
    assert not [name for name in worker["environment"] if "SECRET" in name or "SQL_ALCHEMY" in name]


def test_with_the_local_executor_there_is_no_worker() -> None:
    assert "worker" not in services(settings={"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"})


def test_only_the_api_server_has_a_port_and_that_on_loopback() -> None:
    assert {
        name: service["ports"] for name, service in services(port=9000).items() if "ports" in service
    } == {"api-server": ["127.0.0.1:9000:8080"]}


def test_a_dollar_sign_is_no_variable_of_composes() -> None:
    found = services(settings=PACKING | {"AIRFLOW__CORE__X": "a$b"})
    assert found["scheduler"]["environment"]["AIRFLOW__CORE__X"] == "a$$b"


def test_every_service_of_ours_has_limits_and_no_rights() -> None:
    for name, service in services().items():
        assert service["deploy"]["resources"]["limits"]["memory"]
        if name != "postgres":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]


def test_secrets_are_private_and_stay_when_rendered_again(tmp_path: Path) -> None:
    asked = wanted(user=os.geteuid())
    compose.write(tmp_path, asked)
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {"fernet_key", "jwt_secret", "api_secret_key", "database_password", "database_url"} == set(before)
    assert before["database_password"] in before["database_url"]
    assert {
        path.stat().st_mode & 0o077
        for path in (tmp_path / "secrets").iterdir()
        if path.name != "database_password"
    } == {0}
    compose.write(tmp_path, asked)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before


def test_a_compose_file_of_the_users_own_stays(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    with pytest.raises(InputError, match="was not rendered by orrery"):
        compose.write(tmp_path, wanted())
    assert not (tmp_path / "secrets").exists()
