"""What a container becomes, and what it waits for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError, MachineError, StateError
from orrery.image import database, entrypoint

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://a:b@db/x",
    "AIRFLOW_HOME": "/nonexistent",
    "PATH": "/bin:/usr/bin",
}


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class World:
    """A database that answers, and is migrated, after some time."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, answers_at: float = 0, migrated_at: float = 0
    ) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        world = self

        class Connection:
            def __init__(self, _address: str) -> None:
                if world.clock.now < answers_at:
                    raise MachineError("Connection refused")

            def close(self) -> None:
                pass

        monkeypatch.setattr(database, "Database", Connection)
        monkeypatch.setattr(
            database,
            "lacking",
            lambda *_: [] if world.clock.now >= migrated_at else ["Airflow's tables from empty to abc"],
        )

    def become(
        self, *arguments: str, environment: Mapping[str, str] = URL
    ) -> tuple[list[str], dict[str, str]]:
        return entrypoint.prepared(
            arguments, environment, say=self.said.append, clock=self.clock, sleep=self.clock.sleep
        )


def test_a_component_becomes_airflows_command(monkeypatch: pytest.MonkeyPatch) -> None:
    argv, _ = World(monkeypatch).become("api-server", "--workers", "2")
    assert argv == [
        sys.executable,
        "-m",
        "airflow",
        "api-server",
        "--host",
        "0.0.0.0",
        "--port",
        "8080",
        "--workers",
        "2",
    ]


def test_a_component_waits_for_the_database_and_its_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, answers_at=3, migrated_at=8)
    argv, _ = world.become("scheduler")
    assert argv[-2:] == ["scheduler", "--skip-serve-logs"]
    assert world.clock.now == 8
    assert world.said == ["Waiting for the database", "Waiting for the database's migration"]


def test_the_migration_waits_for_the_database_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, answers_at=3, migrated_at=1000)
    assert world.become("migrate")[0][-2:] == ["db", "migrate"]
    assert world.clock.now == 3


def test_a_database_that_never_answers_is_an_error_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(MachineError, match="within 120 s: Connection refused") as error:
        World(monkeypatch, answers_at=1e9).become("scheduler")
    assert "SQL_ALCHEMY_CONN" in str(error.value.hint)


def test_a_database_that_nobody_migrates_is_an_error_that_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StateError, match="not migrated") as error:
        World(monkeypatch, migrated_at=1e9).become(
            "scheduler", environment=URL | {"ORRERY_WAIT_SECONDS": "5"}
        )
    assert "'migrate'" in str(error.value.hint)


def test_a_worker_waits_for_no_database_and_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, answers_at=1e9)
    argv, environment = world.become("worker", environment=URL | {"AIRFLOW__CORE__FERNET_KEY": "hunter2"})
    assert argv == [sys.executable, "-m", "orrery.worker"]
    assert "hunter2" not in environment.values()
    assert environment["ORRERY_COMPONENT"] == "worker"


def test_any_other_command_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, answers_at=1e9)
    assert world.become("ls", "-l")[0] == ["ls", "-l"]
    with pytest.raises(InputError, match="'schedular' is neither"):
        world.become("schedular")


def test_a_wait_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="ORRERY_WAIT_SECONDS is 'soon'"):
        World(monkeypatch).become("scheduler", environment=URL | {"ORRERY_WAIT_SECONDS": "soon"})


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://a:b@db/x"}, "postgresql://a:b@db/x"),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "echo postgresql://a:b@db/x"}, "postgresql://a:b@db/x"),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////tmp/x.db"}, None),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "somewhere"}, None),
        ({}, None),
    ],
)
def test_the_database_is_the_one_that_airflow_would_use(environment: dict[str, str], url: str | None) -> None:
    assert database.url({"PATH": "/bin:/usr/bin", "AIRFLOW_HOME": "/nonexistent"} | environment) == url


def test_a_command_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="SQL_ALCHEMY_CONN_CMD failed"):
        database.url(
            {
                "AIRFLOW_HOME": "/nonexistent",
                "PATH": "/bin:/usr/bin",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat /nonexistent",
            }
        )
