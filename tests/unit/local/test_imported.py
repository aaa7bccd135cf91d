"""When a component may be a fork of what the manager has imported, must start cold, and waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orrery.config import secrets
from orrery.local.imported import Imported, Launch, await_database
from orrery.local.supervisor import launch_command

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["/env/bin/python", "-m", "airflow"]
WORKER = ["/env/bin/python", "-m", "orrery.worker"]
SECRETS = {"AIRFLOW__CORE__FERNET_KEY": "key", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://a:b@c/d"}
ENVIRONMENT = {"A": "1"} | SECRETS


def launch(folder: Path, **changed: object) -> Path:
    file = folder / "launch.json"
    file.write_text(json.dumps({"command": COMMAND, "environment": ENVIRONMENT} | changed))
    return file


def worker_launch(folder: Path, **changed: object) -> Path:
    file = folder / "launch-worker.json"
    environment = secrets.for_tasks(ENVIRONMENT)
    file.write_text(json.dumps({"command": WORKER, "environment": environment} | changed))
    return file


def serves(imported: Imported, file: Path, *words: str) -> bool:
    wanted = Launch.of(launch_command(file, words))
    return wanted is not None and imported.serves(wanted)


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imported:
    """As after an import: one module of its own, and an airflow.cfg that is not there yet."""
    (tmp_path / "module.py").write_text("x = 1")
    found = Imported(Launch.read(worker_launch(tmp_path)))
    files = [str(tmp_path / name) for name in ("module.py", "airflow.cfg")]
    monkeypatch.setattr(found, "_origins", lambda: files)
    found.take_note()
    return found


def test_an_unchanged_component_is_forked_with_its_own_words(imported: Imported, tmp_path: Path) -> None:
    wanted = Launch.of(launch_command(launch(tmp_path), ["scheduler", "--skip-serve-logs"]))
    assert wanted is not None
    assert imported.serves(wanted)
    assert (wanted.module, wanted.words) == ("airflow", ("scheduler", "--skip-serve-logs"))
    assert wanted.environment == ENVIRONMENT


def test_so_is_the_worker_without_the_secrets(imported: Imported, tmp_path: Path) -> None:
    wanted = Launch.of(launch_command(tmp_path / "launch-worker.json"))
    assert wanted is not None
    assert imported.serves(wanted)
    assert not SECRETS.items() & wanted.environment.items()


def test_another_secret_is_no_reason_to_start_cold(imported: Imported, tmp_path: Path) -> None:
    changed = ENVIRONMENT | {"AIRFLOW__CORE__FERNET_KEY": "today's"}
    assert serves(imported, launch(tmp_path, environment=changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": ENVIRONMENT | {"A": "2"}},
        {"environment": ENVIRONMENT | {"B": ""}},
        {"environment": SECRETS},
        {"command": ["/other/bin/python", "-m", "airflow"]},
        {"command": ["/env/bin/python", "-m", "something"]},
        {"command": ["/env/bin/python", "airflow"]},
    ],
)
def test_another_environment_or_command_starts_cold(
    imported: Imported, tmp_path: Path, changed: dict[str, object]
) -> None:
    assert not serves(imported, launch(tmp_path, **changed), "scheduler")


@pytest.mark.parametrize("name", ["module.py", "airflow.cfg"])
def test_a_changed_file_starts_cold(imported: Imported, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("changed")
    assert not serves(imported, launch(tmp_path), "scheduler")
    assert not serves(imported, tmp_path / "launch-worker.json")


def test_a_touched_file_starts_cold(imported: Imported, tmp_path: Path) -> None:
    os.utime(tmp_path / "module.py", ns=(1, 1))
    assert not serves(imported, launch(tmp_path), "scheduler")


@pytest.mark.parametrize("text", [None, "{", "[]", '{"command": []}', '{"command": ["a", "-m", "b"]}'])
def test_a_removed_or_broken_launch_file_starts_cold(
    imported: Imported, tmp_path: Path, text: str | None
) -> None:
    file = launch(tmp_path)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert not serves(imported, file, "scheduler")


def test_postgres_is_never_forked(tmp_path: Path) -> None:
    assert Launch.of(["/env/bin/postgres", "-D", str(tmp_path)]) is None


def test_what_was_not_imported_is_not_forked(tmp_path: Path) -> None:
    assert not serves(Imported(Launch.read(worker_launch(tmp_path))), launch(tmp_path), "scheduler")
    assert not serves(Imported(None), launch(tmp_path), "scheduler")


#: In a process of its own: it is frozen afterwards.
LOAD = """
import sys
from orrery.local import imported
imported.MODULES, imported.WARM_UPS = tuple(sys.argv[1:]), ()
print(imported.Imported(None).load())
"""


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        (["ordinary"], "None"),
        (["threaded"], "has started a thread"),
        (["airflow_local_settings"], "the project has an airflow_local_settings"),
        (["missing"], "ModuleNotFoundError: No module named 'missing'"),
    ],
)
def test_what_cannot_be_shared_is_said(tmp_path: Path, modules: list[str], why: str) -> None:
    (tmp_path / "ordinary.py").write_text("")
    (tmp_path / "airflow_local_settings.py").write_text("")
    thread = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    (tmp_path / "threaded.py").write_text(f"import threading\n{thread}\n")
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, *modules],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert why in ended.stdout


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
