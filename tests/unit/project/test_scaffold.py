from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orrery.errors import InputError, MachineError
from orrery.project.choices import choose
from orrery.project.layout import find_project
from orrery.project.scaffold import Plan, make_project, plan_project


def plan(root: Path, *, force: bool = False) -> Plan:
    return plan_project(root, choose(root, name=None, python=None, providers="slim"), force=force)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_new_project_has_every_file_and_no_mark_left(tmp_path: Path) -> None:
    root = tmp_path / "new" / "weather"
    make_project(plan(root))
    made = files(root)
    assert set(made) >= {
        *["requirements.txt", "packages.txt", ".env", "orrery.yaml", "Dockerfile", "README.md"]
    }
    assert set(made) >= {".gitignore", ".dockerignore", "plugins/.gitkeep"}
    assert set(made) >= {"dags/planets.py", "include/orbits.py", "tests/dags/test_dags.py"}
    assert [name for name, content in made.items() if b"<<" in content] == []
    assert made["Dockerfile"] == b"FROM orrery/runtime:17.0.0\n"
    assert find_project(root).name == "weather"


def test_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    make_project(plan(tmp_path))
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_the_example_is_valid_python(tmp_path: Path) -> None:
    make_project(plan(tmp_path))
    for name, content in files(tmp_path).items():
        if name.endswith(".py"):
            ast.parse(content)


def test_what_exists_is_kept_and_listed(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    steps = plan(tmp_path)
    make_project(steps)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert steps.labels("keep") == ["README.md"]
    assert plan(tmp_path).labels("create") == []


def test_force_overwrites_only_what_differs_and_lists_it(tmp_path: Path) -> None:
    make_project(plan(tmp_path))
    (tmp_path / "README.md").write_text("mine")
    steps = plan(tmp_path, force=True)
    make_project(steps)
    assert steps.labels("overwrite") == ["README.md"]
    assert (tmp_path / "README.md").read_text() != "mine"


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    plan(tmp_path / "p", force=True)
    assert not (tmp_path / "p").exists()


def test_an_astro_project_gets_only_what_is_missing(astro_project: Path) -> None:
    before = files(astro_project)
    steps = plan(astro_project)
    make_project(steps)
    assert steps.has_own_work
    assert steps.labels("create") == [".gitignore", "README.md", "orrery.yaml"]
    assert {name: content for name, content in files(astro_project).items() if name in before} == before


def test_a_dangling_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "vault")
    make_project(plan(tmp_path))
    assert (tmp_path / ".env").is_symlink()
    assert not (tmp_path / "vault").exists()


def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "tests").touch()
    with pytest.raises(InputError, match="tests is a file"):
        plan(tmp_path)
    assert list(files(tmp_path)) == ["tests"]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(InputError, match=r"\.env is a folder"):
        plan(tmp_path)


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_cannot_become_a_project(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        make_project(plan(tmp_path / "file" / below))


def test_an_unwritable_folder_names_folder_and_user(tmp_path: Path) -> None:
    steps = plan(tmp_path / "locked" / "p")
    (tmp_path / "locked").mkdir(mode=0o555)
    is_root = os.geteuid() == 0
    if is_root:  # whom modes do not bind
        os.seteuid(65534)
    try:
        with pytest.raises(MachineError) as caught:
            make_project(steps)
    finally:
        if is_root:
            os.seteuid(0)
    assert str(tmp_path / "locked" / "p") in caught.value.message
    assert "Permission denied" in caught.value.message
    if is_root:
        assert "nobody" in caught.value.message


def test_killed_at_any_moment_nothing_is_half_written_and_a_second_run_completes(tmp_path: Path) -> None:
    # Given what a whole project holds, and a run that is killed while it writes its n-th file
    make_project(plan(tmp_path / "p"))
    whole = files(tmp_path / "p")
    script = """
import os, pathlib, signal, sys
from orrery.project import choices, scaffold
root, left = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def audit(event, arguments):
    global left
    if event == "open" and str(arguments[0]).endswith(".orrery-new") or event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
plan = scaffold.plan_project(root, choices.choose(root, name=None, python=None, providers="slim"))
sys.addaudithook(audit)
scaffold.make_project(plan)
"""
    for moment in (1, 2, 9, 20):
        root = tmp_path / str(moment) / "p"
        killed = subprocess.run([sys.executable, "-c", script, str(root), str(moment)], check=False)
        assert killed.returncode == -signal.SIGKILL
        # Then every file there is whole
        there = {name: content for name, content in files(root).items() if not name.endswith(".orrery-new")}
        assert there.items() <= whole.items()
        assert len(there) < len(whole)
        # And the same command again makes the whole project, with nothing left over
        make_project(plan(root))
        assert files(root) == whole


def test_byte_code_beside_the_template_does_not_travel(tmp_path: Path) -> None:
    import orrery.project

    (package,) = orrery.project.__path__
    cache = Path(package) / "template" / "dags" / "__pycache__"
    existed = cache.exists()
    cache.mkdir(exist_ok=True)
    try:
        assert not [step for step in plan(tmp_path).steps if "__pycache__" in str(step.path)]
    finally:
        if not existed:
            cache.rmdir()
