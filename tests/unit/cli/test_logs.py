"""`orrery logs`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from orrery.cli.logs import logs
from orrery.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".orrery" / "logs"


def shown(*arguments: str) -> Result:
    return CliRunner().invoke(logs, arguments)


def test_where_nothing_ever_ran_it_says_so(folder: Path) -> None:
    result = shown()
    assert isinstance(result.exception, StateError)
    assert "orrery up" in (result.exception.hint or "")


def test_one_component_is_shown_as_it_wrote(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "scheduler.log").write_text("1\n2\n3\n")
    assert shown("scheduler").output == "1\n2\n3\n"
    assert shown("scheduler", "-n", "2").output == "2\n3\n"
    assert shown("scheduler", "-n", "0").output == ""


def test_all_components_are_told_apart(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "scheduler.log").write_text("1\n")
    (folder / "dag-processor.log").write_text("2\n")
    assert shown().output == "scheduler     | 1\ndag-processor | 2\n"


@pytest.mark.parametrize("arguments", [("scheduller",), ("-n", "-1"), ("-n", "many")])
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    folder.mkdir(parents=True)
    (folder / "scheduler.log").write_text("1\n")
    assert shown(*arguments).exit_code == 2


def test_a_component_without_a_log_is_told(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "scheduler.log").write_text("1\n")
    assert isinstance(shown("triggerer").exception, StateError)


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    # Given more lines than a pipe holds, as `orrery logs | head -1`
    folder.mkdir(parents=True)
    (folder / "scheduler.log").write_text("line\n" * 50_000)
    with subprocess.Popen(
        [sys.executable, "-c", "from orrery.cli.main import main; main()", "logs", "-n", "50000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "scheduler     | line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0
