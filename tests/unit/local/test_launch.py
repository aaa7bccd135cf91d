"""The launcher becomes the component, in the environment of the file and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from orrery.local import launch

if TYPE_CHECKING:
    from pathlib import Path

SHOW = "import json, os; print(json.dumps([os.getpid(), dict(os.environ)]))"


def test_the_component_has_the_launchers_pid_and_the_files_environment(tmp_path: Path) -> None:
    # Given an environment with signs of every kind
    wanted = {"A": "with space", "B": "100%\nline", "C": "ü\udcff", "PATH": "/bin"}
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(wanted))
    # When the launcher runs in another one
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(launch.__file__), str(file), sys.executable, "-S", "-c", SHOW],
        env={"A": "old", "SECRET": "of the process manager"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=20)
    pid, environment = json.loads(out)
    # Then it has become the command, with those variables alone
    assert pid == process.pid
    environment.pop("LC_CTYPE", None)  # Python's own, where the locale is C
    assert environment == wanted


def test_a_restart_sees_the_settings_of_today(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    told = []
    for value in ("yesterday", "today"):
        file.write_text(json.dumps({"SETTING": value}))
        code = "import os; print(os.environ['SETTING'])"
        ended = subprocess.run(
            [sys.executable, "-I", "-S", str(launch.__file__), str(file), sys.executable, "-S", "-c", code],
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(ended.stdout.strip())
    assert told == ["yesterday", "today"]


def test_a_missing_interpreter_is_named_in_the_log(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    file.write_text("{}")
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(launch.__file__), str(file), str(tmp_path / "gone")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert str(tmp_path / "gone") in ended.stderr.splitlines()[-1]
