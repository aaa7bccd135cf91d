from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.airflow_settings import AirflowSettings, read_airflow_settings
from orrery.project.dotenv import read_env_file
from orrery.project.layout import NoProject, find_project, label
from orrery.project.requirements import check_requirements
from orrery.project.text import read_packages

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_with_a_deployment_file_is_a_project(tmp_path: Path) -> None:
    (tmp_path / "orrery.yaml").write_text("name: weather\n")
    project = find_project(tmp_path)
    assert (project.root, project.name) == (tmp_path, "weather")
    assert project.state == tmp_path / ".orrery"


def test_a_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    inside = tmp_path / "p" / "dags" / "team" / "deep"
    inside.mkdir(parents=True)
    assert find_project(inside).root == tmp_path / "p"


def test_of_two_projects_the_nearest_is_meant(tmp_path: Path) -> None:
    (tmp_path / "outer" / "dags").mkdir(parents=True)
    inner = tmp_path / "outer" / "work" / "inner"
    (inner / "dags").mkdir(parents=True)
    assert find_project(inner).root == inner


def test_the_search_follows_the_folder_that_dots_mean(tmp_path: Path) -> None:
    (tmp_path / "p" / "dags").mkdir(parents=True)
    assert find_project(tmp_path / "p" / "dags" / "..").root == tmp_path / "p"


def test_dags_in_the_home_folder_do_not_claim_what_is_below(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError):
        find_project(tmp_path / "notes", home=tmp_path)
    assert find_project(tmp_path, home=tmp_path).root == tmp_path


def test_a_folder_that_is_no_project_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoProject) as caught:
        find_project(tmp_path, home=tmp_path.parent)
    assert caught.value.message == f"{tmp_path} is no project: it has neither orrery.yaml nor dags/."
    assert "orrery init" in str(caught.value.hint)


def test_a_file_or_nothing_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        find_project(tmp_path / "file")
    with pytest.raises(InputError, match="does not exist"):
        find_project(tmp_path / "absent")


@pytest.mark.parametrize(
    ("image", "is_one"),
    [
        ("orrery/runtime:17.0.0", True),
        ("example.org/orrery/runtime@sha256:0", True),
        ("quay.io/astronomer/astro-runtime:12.1.0", True),
        ("--platform=linux/amd64 quay.io/astronomer/astro-runtime:12.1.0 AS base", True),
        ("mcr.microsoft.com/dotnet/runtime:8.0", False),
        ("python:3.12", False),
    ],
)
def test_a_dockerfile_on_a_runtime_image_makes_a_project(tmp_path: Path, image: str, is_one: bool) -> None:
    (tmp_path / "Dockerfile").write_text(f"# syntax=docker/dockerfile:1\nfrom {image}\n")
    if is_one:
        assert find_project(tmp_path, home=tmp_path.parent).root == tmp_path
    else:
        with pytest.raises(InputError):
            find_project(tmp_path, home=tmp_path.parent)


def test_an_astro_project_is_one_and_nothing_in_it_is_touched(astro_project: Path) -> None:
    def stamps() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in astro_project.rglob("*")}

    before = stamps()
    project = find_project(astro_project / "include")
    read_env_file(project.env_file, {})
    check_requirements(project.requirements, runtime="17.0.0", airflow="3.3.2")
    read_packages(project.packages)
    # The empty entries of a fresh file ask for nothing.
    assert read_airflow_settings(project.airflow_settings) == AirflowSettings()
    assert (project.root, project.name) == (astro_project, "sales-reports")
    assert stamps() == before


def test_the_astro_settings_alone_make_a_project(astro_project: Path, tmp_path: Path) -> None:
    (tmp_path / "bare" / ".astro").mkdir(parents=True)
    (tmp_path / "bare" / ".astro" / "config.yaml").write_text("project: nonsense\n")
    assert find_project(tmp_path / "bare").name == "bare"


@pytest.mark.parametrize("text", ["name: [", "name: 5", "- a", "\x00", ""])
def test_a_broken_deployment_file_still_makes_a_project(tmp_path: Path, text: str) -> None:
    root = tmp_path / "My Project"
    root.mkdir()
    (root / "orrery.yaml").write_text(text)
    assert find_project(root).name == "my-project"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sales_Reports 2", "sales-reports-2"),
        ("--", "project"),
        ("a" * 70, "a" * 63),
        ("Ünï côde", "uni-code"),
        ("Straße", "strasse"),
    ],
)
def test_any_text_gives_a_label(text: str, expected: str) -> None:
    assert label(text) == expected


def test_a_path_with_a_colon_cannot_be_a_project(tmp_path: Path) -> None:
    (tmp_path / "a:b" / "dags").mkdir(parents=True)
    with pytest.raises(InputError, match="PYTHONPATH") as caught:
        find_project(tmp_path / "a:b" / "dags")
    assert caught.value.hint
    assert not isinstance(caught.value, NoProject)
