"""`orrery doctor`, inside a project and outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from orrery.cli.doctor import doctor
from orrery.errors import MachineError
from orrery.local.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORRERY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments)


def test_outside_a_project_the_machine_alone_is_checked(folder: Path) -> None:
    told = json.loads(asked("-o", "json").stdout)
    project = told["checks"][0]
    assert (project["name"], project["state"]) == ("project", "weak")
    assert "orrery init" in project["fix"]
    assert {"Python", "memory", "clock"} <= {check["name"] for check in told["checks"]}
    assert told["state"] in ("weak", "broken")


def test_inside_a_project_its_own_port_is_checked(folder: Path) -> None:
    port = free_port()
    (folder / "orrery.yaml").write_text(f"local:\n  port: {port}\n")
    told = json.loads(asked("-o", "json").stdout)
    checks = {check["name"]: check for check in told["checks"]}
    assert checks["project"]["state"] == "ok"
    assert checks["port"]["found"] == f"{port} is free"


def test_a_wrong_file_is_a_broken_check_that_tells_why_and_ends_with_five(folder: Path) -> None:
    (folder / "orrery.yaml").write_text("nmae: x\n")
    result = asked("-o", "json")
    project = json.loads(result.stdout)["checks"][0]
    assert (project["name"], project["state"]) == ("project", "broken")
    assert "name" in project["found"]
    assert isinstance(result.exception, MachineError)


def test_people_get_a_table_with_the_fix_beside_the_finding(folder: Path) -> None:
    text = asked().output
    assert "CHECK" in text
    assert "FIX" in text
    assert "memory" in text


def test_nothing_is_made_by_looking(folder: Path) -> None:
    (folder / "dags").mkdir()
    asked()
    assert [path.name for path in folder.rglob("*")] == ["dags"]


def test_a_file_that_cannot_be_read_is_a_broken_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "dags").mkdir()
    read = type(folder).read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == ".env":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(type(folder), "read_bytes", refuse)
    result = asked("-o", "json")
    project = json.loads(result.stdout)["checks"][0]
    assert (project["name"], project["state"]) == ("project", "broken")
    assert ".env cannot be read" in project["found"]
    assert isinstance(result.exception, MachineError)


def test_a_path_that_cannot_be_a_projects_is_a_broken_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a:b" / "dags").mkdir(parents=True)
    monkeypatch.chdir(folder / "a:b")
    assert json.loads(asked("-o", "json").stdout)["checks"][0]["state"] == "broken"
