"""Each check of the machine: what is found, how bad it is, and the command that mends it."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from orrery.local import doctor
from orrery.local.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("version", "state"), [((3, 11), "ok"), ((3, 12), "ok"), ((3, 14), "weak"), ((3, 9), "weak")]
)
def test_pythons(version: tuple[int, int], state: str) -> None:
    found = doctor.check_python(version, ("3.11", "3.12"))
    assert found.state == state
    assert (found.fix is None) == (state == "ok")


@pytest.mark.parametrize(("available", "state"), [(8192, "ok"), (2048, "ok"), (2047, "weak"), (0, "weak")])
def test_memory(available: int, state: str) -> None:
    found = doctor.check_memory(available * MEGABYTE)
    assert found.state == state
    assert f"{available} MB" in found.found


@pytest.mark.parametrize(
    ("free", "state"), [(10_000, "ok"), (2048, "ok"), (2047, "weak"), (256, "weak"), (255, "broken")]
)
def test_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: str) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free * MEGABYTE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    found = doctor.check_disk("disk", tmp_path)
    assert found.state == state
    assert str(tmp_path) in found.found


def test_a_folder_that_can_be_written_is_ok_and_left_as_it_was(tmp_path: Path) -> None:
    assert doctor.check_writable("folder", tmp_path).state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_names_the_command(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    found = doctor.check_writable("folder", file)
    assert found.state == "broken"
    assert f"chown -R $USER {file}" in (found.fix or "")


def test_a_free_port_and_our_own_are_ok() -> None:
    port = free_port()
    assert doctor.check_port(port, runs=False).found == f"{port} is free"
    assert doctor.check_port(port, runs=True).found == f"{port} is ours"


def test_a_taken_port_names_who_has_it() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        found = doctor.check_port(server.getsockname()[1], runs=False)
    assert found.state == "weak"
    assert f"pid {os.getpid()}" in found.found
    assert "--port" in (found.fix or "")


def test_a_port_that_only_root_may_have_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", type("Ordinary", (socket.socket,), {"bind": bind}))
    found = doctor.check_port(80, runs=False)
    assert (found.state, "needs root" in found.found) == ("broken", True)
    assert "--port 8080" in (found.fix or "")


@pytest.mark.parametrize(
    ("limit", "state"), [(1024, "ok"), (1023, "weak"), (1 << 20, "ok"), (resource.RLIM_INFINITY, "ok")]
)
def test_open_files(limit: int, state: str) -> None:
    assert doctor.check_files(limit).state == state


@pytest.mark.parametrize(("encoding", "state"), [("UTF-8", "ok"), ("utf8", "ok"), ("ANSI_X3.4-1968", "weak")])
def test_locales(encoding: str, state: str) -> None:
    assert doctor.check_locale(encoding).state == state


@pytest.mark.parametrize(
    ("day", "state"), [("2027-01-02", "ok"), ("2027-01-01", "ok"), ("2026-12-31", "broken")]
)
def test_clocks(day: str, state: str) -> None:
    now = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC).timestamp()
    assert doctor.check_clock(now, date(2027, 1, 1)).state == state


def test_control_groups_of_both_versions_are_known(tmp_path: Path) -> None:
    assert "none" in doctor.check_cgroups(tmp_path).found
    (tmp_path / "memory").mkdir()
    assert doctor.check_cgroups(tmp_path).found == "v1, writable"
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / "cgroup.procs").touch()
    assert doctor.check_cgroups(tmp_path).found == "v2, writable"


@pytest.mark.parametrize(("path", "state"), [("/usr/bin/setpriv", "ok"), (None, "broken")])
def test_what_root_needs(path: str | None, state: str) -> None:
    assert doctor.check_root(lambda _: path).state == state


def test_a_machine_is_checked_as_a_whole_and_nothing_is_made(tmp_path: Path) -> None:
    checks = list(
        doctor.check_machine(
            state=tmp_path / "p" / ".orrery",
            cache=tmp_path / "cache",
            port=free_port(),
            runs=False,
            pythons=("3.11", "3.12", "3.13"),
            released=date(2026, 1, 1),
        )
    )
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {"Python", "memory", "port", "locale", "clock", "cgroups", "open files"} <= set(names)
    assert all(check.fix for check in checks if check.state != "ok")
    assert not any(check.fix for check in checks if check.state == "ok")
    assert list(tmp_path.iterdir()) == []
