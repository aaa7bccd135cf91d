"""`orrery release`: the catalogue on the command line."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from orrery.cli import main as command_line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def orrery(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the real command line in this process: exit code, stdout, stderr. There is no network."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("orrery release opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["orrery", *arguments])
        code = 0
        try:
            command_line.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def facts(run: Run, *arguments: str) -> Any:
    code, out, err = run(*arguments, "-o", "json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_show_prints_everything_about_a_release_as_json(orrery: Run) -> None:
    shown = facts(orrery, "release", "show", "17.0.0")
    assert shown["version"] == "17.0.0"
    assert shown["airflow_version"] == "3.3.2"
    assert shown["task_sdk_version"] == "1.3.2"
    assert shown["pythons"] == {"default": "3.13", "supported": ["3.11", "3.12", "3.13"]}
    assert shown["architectures"] == ["amd64", "arm64"]
    assert shown["lifecycle"]["ends"] == {"bugfix": "2028-11-30", "security": "2029-05-31"}
    assert shown["lifecycle"]["state"]
    assert isinstance(shown["lifecycle"]["days_left"], int)
    fixes = {fix["id"]: fix for fix in shown["early_fixes"]}
    assert fixes["stale-success"]["pull_request"] == 68741
    assert fixes["task-exit"]["pull_request"] is None
    assert fixes["task-exit"]["guard"] == "apache-airflow-task-sdk==1.3.2"
    assert set(fixes["task-exit"]) == {"id", "pull_request", "title", "why", "guard"}
    assert shown["database_migration"] is True
    assert shown["yanked"] is None
    sets = {provider["name"]: provider["set"] for provider in shown["providers"]}
    assert sets["apache-airflow-providers-http"] == "slim"
    assert sets["apache-airflow-providers-amazon"] == "full"


def test_show_prints_the_same_for_people(orrery: Run) -> None:
    code, out, _ = orrery("release", "show", "17")
    assert code == 0
    for text in ("17.0.0", "3.3.2", "1.3.2", "Debian 12", "amd64, arm64", "2029-05-31", "providers-amazon"):
        assert text in out
    for text in ("task-exit", "none yet", "68741"):
        assert text in out


def test_show_says_that_a_release_was_withdrawn_and_what_to_run_instead(orrery: Run) -> None:
    _, out, _ = orrery("release", "show", "9.0.0")
    assert "the scheduler was slow" in out
    assert "9.21.0" in out


@pytest.mark.parametrize(("line", "state"), [("4", "end-of-life"), ("14", None)])
def test_show_of_a_line_without_known_releases_shows_the_line(
    orrery: Run, line: str, state: str | None
) -> None:
    shown = facts(orrery, "release", "show", line)
    assert (shown["version"], shown["line"], shown["lifecycle"]["state"]) == (None, int(line), state)
    assert orrery("release", "show", line)[0] == 0


@pytest.mark.parametrize("text", ["17.0.1", "3.3-8", "14.0.0"])
def test_show_of_an_unknown_version_suggests_the_nearest(orrery: Run, text: str) -> None:
    code, out, err = orrery("release", "show", text)
    assert (code, out) == (2, "")
    assert f"'{text}' is not a release" in err
    assert "Did you mean 17.0.0?" in err


def test_list_holds_every_line_newest_first(orrery: Run) -> None:
    lines = facts(orrery, "release", "list")
    assert [line["line"] for line in lines] == list(range(17, 3, -1))
    assert lines[0]["newest"] == "17.0.0"
    code, out, _ = orrery("release", "list")
    assert code == 0
    assert "not built" in out


def test_parity_maps_lines_to_airflow(orrery: Run) -> None:
    rows = facts(orrery, "release", "parity")
    assert rows[0] == {"runtime": 4, "airflow": "2.2", "status": "end-of-life history"}
    assert rows[-1] == {"runtime": 17, "airflow": "3.3", "status": "built here"}
    assert "2.11" in orrery("release", "parity")[1]


def test_policy_tells_months_states_and_meaning_of_numbers(orrery: Run) -> None:
    policy = facts(orrery, "release", "policy")
    assert (policy["support"]["bugfix_months"], policy["support"]["security_months"]) == (24, 6)
    assert list(policy["states"]) == ["feature", "bugfix", "security", "end-of-life"]
    assert set(policy["versioning"]) == {"major", "minor", "patch", "airflow"}
    assert "24 months" in orrery("release", "policy")[1]


def test_may_upgrade_to_the_same_release_is_allowed(orrery: Run) -> None:
    code, out, _ = orrery("release", "may-upgrade", "17.0.0", "17")
    assert code == 0
    assert "nothing to do" in out


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [("17.0.0", "13.99.0", "not a release of Orrery"), ("13", "17", "not a release of Orrery")],
)
def test_a_refused_upgrade_exits_1_with_the_reason(
    orrery: Run, source: str, target: str, reason: str
) -> None:
    code, _, err = orrery("release", "may-upgrade", source, target)
    assert code == 1
    assert reason in err
    code, out, _ = orrery("release", "may-upgrade", source, target, "-o", "json")
    verdict = json.loads(out)
    assert (code, verdict["allowed"], verdict["steps"]) == (1, False, [])
    assert reason in verdict["why"]


@pytest.mark.parametrize(("source", "target"), [("17.0.0", "17.9.0"), ("99.0.0", "17"), ("new", "17.0.0")])
@pytest.mark.parametrize("output", ["table", "json"])
def test_an_upgrade_of_unknown_releases_is_a_wrong_input(
    orrery: Run, source: str, target: str, output: str
) -> None:
    code, out, err = orrery("release", "may-upgrade", source, target, "-o", output)
    assert (code, out) == (2, "")
    assert "Did you mean" in err


def test_the_hint_of_a_refused_upgrade_names_commands(orrery: Run) -> None:
    _, _, err = orrery("release", "may-upgrade", "13", "17")
    assert "orrery release policy" in err
    assert "docs/" not in err
