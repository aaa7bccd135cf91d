"""A project's build before the engine sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.image import child
from orrery.image.tags import Variant
from orrery.project.layout import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "dags").mkdir()
    return Project(root=tmp_path, name="weather")


def recipe(project: Project, *, from_astro: bool = False) -> child.Recipe:
    return child.recipe(project, runtime="17.0.0", variant=Variant(), from_astro=from_astro)


def test_without_a_dockerfile_one_line_is_used(project: Project) -> None:
    assert recipe(project) == child.Recipe(text="FROM orrery/runtime:17.0.0\n", path=None)


def test_a_dockerfile_is_used_as_it_is(project: Project) -> None:
    project.dockerfile.write_text("FROM my/base:1\n")
    assert recipe(project).path == project.dockerfile


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("FROM quay.io/astronomer/astro-runtime:8.2.0", "FROM orrery/runtime:17.0.0"),
        ("FROM quay.io/astronomer/astro-runtime:8.2.0-base AS b", "FROM orrery/runtime:17.0.0-base AS b"),
        (
            "from --platform=linux/amd64 astrocrpublic.azurecr.io/runtime:3.1-2",
            "from --platform=linux/amd64 orrery/runtime:17.0.0",
        ),
    ],
)
def test_astros_image_is_replaced_and_the_rest_stays(project: Project, line: str, becomes: str) -> None:
    project.dockerfile.write_text(f"# ours\n{line}\nENV A=b\n")
    made = recipe(project, from_astro=True)
    assert made.text == f"# ours\n{becomes}\nENV A=b\n"
    assert made.path is None
    assert made.change is not None
    with pytest.raises(InputError) as error:
        recipe(project)
    assert "--from-astro" in str(error.value.hint)


def test_from_astro_without_astros_image_is_an_error(project: Project) -> None:
    project.dockerfile.write_text("FROM orrery/runtime:17.0.0\n")
    with pytest.raises(InputError, match="no FROM line with an image of Astro's"):
        recipe(project, from_astro=True)


def test_a_large_context_is_told_with_its_largest_files(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LARGE_BYTES", 1000)
    (project.root / "big.csv").write_bytes(b"x" * 2000)
    (project.root / ".orrery").mkdir()
    (project.root / ".orrery" / "data").write_bytes(b"x" * 9000)
    (project.root / ".dockerignore").write_text(".orrery/\n")
    [warning] = child.warnings(project)
    assert "big.csv" in warning
    assert ".orrery" not in warning


def test_secrets_in_the_context_are_told(project: Project) -> None:
    project.env_file.write_text("A=b\n")
    assert any(".env would be in the image" in warning for warning in child.warnings(project))
    (project.root / ".dockerignore").write_text(".env\n")
    assert list(child.warnings(project)) == []


def test_a_project_without_dags_is_told(tmp_path: Path) -> None:
    assert "no folder dags/" in next(child.warnings(Project(root=tmp_path, name="x")))


def test_ignored_patterns_match_as_docker_does(project: Project) -> None:
    (project.root / ".dockerignore").write_text("**/__pycache__/\n*.log\n# comment\n")
    (project.root / "dags" / "__pycache__").mkdir()
    for name in ("dags/__pycache__/a.pyc", "dags/a.py", "top.log"):
        (project.root / name).write_text("x")
    assert set(child.context_sizes(project.root)) == {".dockerignore", "dags/a.py"}
