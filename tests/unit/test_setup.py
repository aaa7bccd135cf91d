"""bin/setup on a machine that lacks things."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "bin" / "setup"
#: What every machine has; nothing that setup looks for.
PROGRAMS = ("bash", "dirname", "grep", "id", "cat")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A repository without .venv, and beside it the only programs of the machine."""
    (tmp_path / "repository" / "bin").mkdir(parents=True)
    shutil.copy(SETUP, tmp_path / "repository" / "bin")
    (tmp_path / "programs").mkdir()
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found, program
        (tmp_path / "programs" / program).symlink_to(found)
    return tmp_path


def setup(bare: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bare / "programs" / "bash", bare / "repository" / "bin" / "setup", *arguments],
        env={"PATH": str(bare / "programs")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_everything_that_is_missing_is_told_at_once_and_nothing_is_done(bare: Path) -> None:
    ended = setup(bare, "--tests")
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr == (
        "Error: Python 3.11 to 3.13 is needed; the acceptance tests drive a browser; "
        "a test puts PgBouncer before PostgreSQL; a test runs a task as another user.\n"
        "Next: Install what is missing: apt-get install "
        "python3 python3-venv chromium fontconfig fonts-dejavu-core fonts-noto-core pgbouncer sudo\n"
    )
    assert [path.name for path in (bare / "repository").iterdir()] == ["bin"]


def test_without_the_tests_their_programs_are_not_needed(bare: Path) -> None:
    assert setup(bare).stderr.splitlines()[1].endswith("apt-get install python3 python3-venv")
