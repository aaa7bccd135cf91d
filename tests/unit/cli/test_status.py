"""`orrery status`, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from orrery.cli.output import duration
from orrery.cli.status import print_status, status
from orrery.local.processes import MARK
from orrery.local.state import State
from orrery.local.status import ComponentStatus, ImportProblem, Status

if TYPE_CHECKING:
    from pathlib import Path

HEALTHY = ComponentStatus(
    name="scheduler", state="healthy", pid=7, memory_bytes=3 * 2**20, uptime_seconds=61, crashes=0, why=None
)
RUNNING = Status(
    state="healthy",
    name="shop",
    url="http://localhost:8080",
    username="admin",
    password_file="/nowhere/admin_password",
    runtime="17.0.0",
    leftovers=0,
    components=(HEALTHY,),
    import_errors=(),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_stopped_deployment_ends_with_four_and_says_how_to_start_it(project: Path) -> None:
    result = CliRunner().invoke(status)
    assert result.exit_code == 4
    assert "does not run. Start it: orrery up" in result.output


def test_programs_get_every_fact_also_of_a_stopped_deployment(project: Path) -> None:
    result = CliRunner().invoke(status, ["-o", "json"])
    assert result.exit_code == 4
    told = json.loads(result.stdout)
    assert told["state"] == "stopped"
    assert {"state", "url", "username", "password_file", "components"} <= told.keys()
    assert {"name", "state", "pid", "memory_bytes"} <= told["components"][0].keys()
    assert {component["state"] for component in told["components"]} == {"stopped"}


def test_what_a_killed_run_left_is_told_with_the_command_that_ends_it(project: Path) -> None:
    state = State(project / ".orrery")
    with subprocess.Popen(
        ["sh", "-c", "echo up; exec sleep 600"],
        env={MARK: state.deployment_id, "PATH": "/bin:/usr/bin"},
        stdout=subprocess.PIPE,
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        try:
            result = CliRunner().invoke(status)
        finally:
            left.kill()
    assert "1 processes of an earlier run are left: orrery down ends them." in result.output


def printed(found: Status, capsys: pytest.CaptureFixture[str], *, with_password: bool = True) -> str:
    print_status(found, with_password=with_password)
    return capsys.readouterr().out


def test_people_see_address_user_and_components(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(RUNNING, capsys)
    for words in (
        "shop",
        "healthy",
        "http://localhost:8080",
        "admin",
        "17.0.0",
        "scheduler",
        "3 MB",
        "1 min",
    ):
        assert words in text


def test_a_pipe_sees_where_the_password_is_not_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "admin_password"
    file.write_text("hunter2")
    found = replace(RUNNING, password_file=str(file))
    assert "hunter2" not in printed(found, capsys)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "hunter2" in printed(found, capsys)
    assert "hunter2" not in printed(found, capsys, with_password=False)


def test_what_is_wrong_is_told_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    failed = replace(HEALTHY, state="failed", pid=None, memory_bytes=None, why="exit status 1: KeyError: [x]")
    problem = ImportProblem(file="dags/[a].py", error="NameError: y")
    text = printed(
        replace(RUNNING, state="unhealthy", components=(failed,), import_errors=(problem,)), capsys
    )
    assert "scheduler: exit status 1: KeyError: [x]" in text
    assert "does not import: dags/[a].py: NameError: y" in text


def test_a_table_shows_every_sign_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    from orrery.cli.output import print_table

    print_table(["WHERE"], [["/srv/[red]x[/y]/:smile:"], [None]])
    assert "/srv/[red]x[/y]/:smile:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_durations_are_rounded_down_to_what_people_need(seconds: int | None, text: str | None) -> None:
    assert duration(seconds) == text
