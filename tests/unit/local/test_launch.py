"""The launcher becomes the component: the file's command, in the file's environment and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from orrery.local import launch

if TYPE_CHECKING:
    from pathlib import Path

SHOW = "import json, os, sys; print(json.dumps([os.getpid(), sys.argv[1:], dict(os.environ)]))"


def launch_file(folder: Path, command: list[str], environment: dict[str, str]) -> Path:
    file = folder / "launch.json"
    file.write_text(json.dumps({"command": command, "environment": environment}))
    return file


def launcher(file: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(launch.__file__), str(file), *arguments]


def test_the_component_has_the_launchers_pid_and_the_files_environment(tmp_path: Path) -> None:
    # Given an environment with signs of every kind
    wanted = {"A": "with space", "B": "100%\nline", "C": "ü\udcff", "PATH": "/bin"}
    file = launch_file(tmp_path, [sys.executable, "-S", "-c", SHOW], wanted)
    # When the launcher runs in another one
    with subprocess.Popen(
        launcher(file, "scheduler", "--flag"),
        env={"A": "old", "SECRET": "of the process manager"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=20)
    pid, arguments, environment = json.loads(out)
    # Then it has become the command, with those variables alone
    assert pid == process.pid
    assert arguments == ["scheduler", "--flag"]
    environment.pop("LC_CTYPE", None)  # Python's own, where the locale is C
    assert environment == wanted


def test_a_restart_sees_the_settings_and_the_interpreter_of_today(tmp_path: Path) -> None:
    told = []
    for value in ("yesterday", "today"):
        code = f"import os; print('{value}s interpreter', os.environ['SETTING'])"
        file = launch_file(tmp_path, [sys.executable, "-S", "-c", code], {"SETTING": value})
        ended = subprocess.run(launcher(file), capture_output=True, text=True, check=True)
        told.append(ended.stdout.strip())
    assert told == ["yesterdays interpreter yesterday", "todays interpreter today"]


def test_a_missing_interpreter_is_named_in_the_log(tmp_path: Path) -> None:
    file = launch_file(tmp_path, [str(tmp_path / "gone")], {})
    ended = subprocess.run(launcher(file), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert str(tmp_path / "gone") in ended.stderr.splitlines()[-1]
