from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from orrery.cli.init import init
from orrery.deployment.file import load_deployment
from orrery.errors import InputError
from orrery.project.layout import find_project

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(*arguments: object) -> Result:
    return CliRunner().invoke(init, [str(argument) for argument in arguments])


def test_it_makes_a_project_whose_deployment_file_is_valid(tmp_path: Path) -> None:
    result = run(tmp_path / "p", "--name", "weather", "--python", "3.12", "--providers", "full")
    assert result.exit_code == 0, result.output
    deployment = load_deployment(find_project(tmp_path / "p"), {})
    assert (deployment.name, deployment.python, deployment.providers) == ("weather", "3.12", "full")


def test_it_ends_with_the_next_steps(tmp_path: Path) -> None:
    output = run(tmp_path / "my project").output
    assert output.endswith(f"Next:\n  cd '{tmp_path}/my project'\n  orrery up\n")


def test_here_needs_no_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = run().output
    assert output.endswith("Next:\n  orrery up\n")
    assert (tmp_path / "dags" / "planets.py").is_file()


def test_json_lists_what_was_created_kept_and_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".env").write_text("A=1")
    shown = json.loads(run(tmp_path, "-o", "json").output)
    assert set(shown) == {"project", "dry_run", "created", "kept", "overwritten"}
    assert shown["kept"] == [".env", "README.md"]
    assert "dags/planets.py" in shown["created"]
    forced = json.loads(run(tmp_path, "--force", "-o", "json").output)
    assert forced["overwritten"] == [".env", "README.md"]


def test_a_kept_file_is_said_to_be_kept(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    assert "  kept         Dockerfile\n" in run(tmp_path).output


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "p", "--dry-run")
    assert "Would make a project" in result.output
    assert not (tmp_path / "p").exists()


def test_a_project_of_ones_own_gets_no_examples_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "mine.py").touch()
    assert "no example DAGs are added" in run(tmp_path).output
    assert [path.name for path in (tmp_path / "dags").iterdir()] == ["mine.py"]


def test_a_file_cannot_become_a_project(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert isinstance(run(tmp_path / "file").exception, InputError)


def test_a_path_with_a_colon_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    error = run(tmp_path / "a:b").exception
    assert isinstance(error, InputError)
    assert error.hint
    assert list(tmp_path.iterdir()) == []
