"""When a component may be a fork of what the manager has imported, must start cold, and waits."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from orrery.local.manager import Imported, await_database
from orrery.local.supervisor import launch_command

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["/env/bin/python", "-m", "airflow"]


def launch(folder: Path, **changed: object) -> Path:
    file = folder / "launch.json"
    file.write_text(json.dumps({"command": COMMAND, "environment": {"A": "1"}} | changed))
    return file


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imported:
    """As after an import: one module of its own, one secret, and an airflow.cfg that is not there yet."""
    (tmp_path / "module.py").write_text("x = 1")
    (tmp_path / "fernet_key").write_text("key")
    found = Imported(launch(tmp_path), tmp_path)
    files = [str(tmp_path / name) for name in ("module.py", "fernet_key", "airflow.cfg")]
    monkeypatch.setattr(found, "_origins", lambda: files)
    found.take_note()
    return found


def test_an_unchanged_component_is_forked_with_its_own_words(imported: Imported, tmp_path: Path) -> None:
    argv = launch_command(tmp_path / "launch.json", ["scheduler", "--skip-serve-logs"])
    assert imported.arguments(argv) == ["scheduler", "--skip-serve-logs"]


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": {"A": "2"}},
        {"environment": {"A": "1", "B": ""}},
        {"command": ["/other/bin/python", "-m", "airflow"]},
        {"command": ["/env/bin/python", "-m", "something"]},
    ],
)
def test_another_environment_or_command_starts_cold(
    imported: Imported, tmp_path: Path, changed: dict[str, object]
) -> None:
    argv = launch_command(launch(tmp_path, **changed), ["scheduler"])
    assert imported.arguments(argv) is None


@pytest.mark.parametrize("name", ["module.py", "fernet_key", "airflow.cfg"])
def test_a_changed_file_starts_cold(imported: Imported, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("changed")
    assert imported.arguments(launch_command(tmp_path / "launch.json", ["scheduler"])) is None


def test_a_touched_file_starts_cold(imported: Imported, tmp_path: Path) -> None:
    os.utime(tmp_path / "module.py", ns=(1, 1))
    assert imported.arguments(launch_command(tmp_path / "launch.json", ["scheduler"])) is None


def test_a_removed_or_broken_launch_file_starts_cold(imported: Imported, tmp_path: Path) -> None:
    argv = launch_command(tmp_path / "launch.json", ["scheduler"])
    (tmp_path / "launch.json").write_text("{")
    assert imported.arguments(argv) is None
    (tmp_path / "launch.json").unlink()
    assert imported.arguments(argv) is None


def test_the_worker_and_postgres_are_never_forked(imported: Imported, tmp_path: Path) -> None:
    worker = tmp_path / "launch-worker.json"
    worker.write_text((tmp_path / "launch.json").read_text())
    assert imported.arguments(launch_command(worker)) is None
    assert imported.arguments(["/env/bin/postgres", "-D", str(tmp_path)]) is None


def test_what_was_not_imported_is_not_forked(tmp_path: Path) -> None:
    found = Imported(launch(tmp_path), tmp_path)
    assert found.arguments(launch_command(tmp_path / "launch.json", ["scheduler"])) is None


class Database:
    """Answers after so many refusals; its time passes as somebody sleeps."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.now = 0.0
        self.closed = 0

    def connect(self) -> Database:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError
        return self

    def close(self) -> None:
        self.closed += 1

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("refusals", "least", "most"), [(0, 0.0, 0.0), (20, 1.9, 2.1)])
def test_it_begins_as_soon_as_the_database_answers(refusals: int, least: float, most: float) -> None:
    database = Database(refusals)
    await_database(database.connect, clock=database.clock, sleep=database.sleep)
    assert least <= database.now <= most
    assert database.closed == 1


def test_it_begins_without_one_that_does_not_come_back() -> None:
    database = Database(10_000)
    await_database(database.connect, clock=database.clock, sleep=database.sleep)
    assert 10 <= database.now < 11
    assert database.closed == 0
