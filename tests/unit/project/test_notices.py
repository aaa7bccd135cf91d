"""What a local deployment passes over is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.layout import Project
from orrery.project.notices import notices

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, name="weather")


def test_a_project_without_these_files_gets_no_notice(project: Project) -> None:
    assert notices(project) == ()


def test_debian_packages_are_named_with_the_command_that_installs_them(project: Project) -> None:
    project.packages.write_text("# tools\nlibpq-dev\n\ngit\n")
    assert notices(project) == (
        "packages.txt is for the image; on this machine install them yourself: apt-get install libpq-dev git",
    )


def test_a_file_of_comments_names_no_packages(project: Project) -> None:
    project.packages.write_text("# one package a line\n")
    assert notices(project) == ()


def test_what_is_no_package_is_told_and_stops_nothing(project: Project) -> None:
    project.packages.write_text("--force\n")
    assert len(notices(project)) == 1
    assert "packages.txt:1" in notices(project)[0]


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ("quay.io/astronomer/astro-runtime:13.1.0", "astro-runtime 13 (Airflow 2.11)"),
        (
            "--platform=linux/amd64 quay.io/astronomer/astro-runtime:12.1.0-base AS x",
            "astro-runtime 12 (Airflow 2.10)",
        ),
        ("astrocrpublic.azurecr.io/runtime:3.1-12", "runtime 3.1-12 (Airflow 3.1)"),
    ],
)
def test_a_base_image_of_another_airflow_is_told(project: Project, image: str, named: str) -> None:
    project.dockerfile.write_text(f"# syntax=docker/dockerfile:1\nFROM {image}\n")
    assert notices(project) == (f"the Dockerfile names {named}; here the project runs on Airflow 3.3.2",)


@pytest.mark.parametrize(
    "image",
    [
        "astrocrpublic.azurecr.io/runtime:3.3-2",
        "orrery/runtime:17.0.0",
        "python:3.12",
        "mcr.microsoft.com/dotnet/runtime:8.0",
        "quay.io/astronomer/astro-runtime:latest",
        "quay.io/astronomer/astro-runtime:999.0.0",
    ],
)
def test_a_base_image_of_the_same_airflow_or_of_none_is_not(project: Project, image: str) -> None:
    project.dockerfile.write_text(f"FROM {image}\n")
    assert notices(project) == ()


def test_of_several_stages_the_last_one_counts(project: Project) -> None:
    project.dockerfile.write_text(
        "FROM quay.io/astronomer/astro-runtime:12.1.0 AS old\nFROM astrocrpublic.azurecr.io/runtime:3.3-2\n"
    )
    assert notices(project) == ()


def test_an_unknown_runtime_is_a_wrong_input(project: Project) -> None:
    with pytest.raises(InputError):
        notices(project, runtime="99.0.0")
