"""Programs are started in one place, and say why when they do not start."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from orrery.errors import MachineError
from orrery.local import process
from orrery.local.exclusive import held


def test_a_program_gets_only_the_environment_that_is_given() -> None:
    code = "import os; print(sorted(os.environ.items()))"
    ended = process.run([sys.executable, "-S", "-c", code], env={"LC_ALL": "C", "ONLY": "this"})
    assert ended.stdout.strip() == "[('LC_ALL', 'C'), ('ONLY', 'this')]"


def test_a_failing_program_is_returned_not_raised() -> None:
    ended = process.run([sys.executable, "-c", "import sys; sys.exit('no')"], env={})
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "no\n")


def test_the_command_is_shown_as_a_person_would_type_it() -> None:
    shown: list[str] = []
    process.run(["true", "a b", Path("c")], env={"PATH": "/bin:/usr/bin"}, echo=shown.append)
    assert shown == ["$ true 'a b' c"]


def test_a_missing_program_says_which(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"Could not start '.*/absent': No such file"):
        process.run([tmp_path / "absent"], env={})
    with pytest.raises(MachineError, match=r"Could not start '.*/absent': No such file"):
        process.start([tmp_path / "absent"], env={})


def test_a_program_that_takes_too_long_is_killed() -> None:
    with pytest.raises(MachineError, match=r"did not end within 0\.2 seconds"):
        process.run(["sleep", "60"], env={"PATH": "/bin:/usr/bin"}, timeout=0.2)


def test_a_started_program_appends_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("one", "two"):
        process.start(["echo", word], env={"PATH": "/bin:/usr/bin"}, output=log).wait(timeout=10)
    assert log.read_text() == "one\ntwo\n"


def test_a_lock_lasts_until_the_program_ends_that_it_was_handed_to(tmp_path: Path) -> None:
    # Given a process that is killed while the program that it started goes on
    lock, go_on = tmp_path / "lock", tmp_path / "go-on"
    code = (
        "import sys, time, pathlib\n"
        "pathlib.Path(sys.argv[1] + '.up').touch()\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
    )
    parent = (
        "import sys, pathlib\n"
        "from orrery.local import process\n"
        "from orrery.local.exclusive import held\n"
        "with held(pathlib.Path(sys.argv[1]), waiting=lambda: None) as lock:\n"
        "    process.run([sys.executable, '-c', sys.argv[2], sys.argv[3]], env={}, keep_open=(lock,))\n"
    )
    killed = process.start([sys.executable, "-c", parent, lock, code, go_on], env={})
    deadline = time.monotonic() + 30
    while not Path(f"{go_on}.up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    killed.wait(timeout=10)
    # When another asks for the lock, it waits; it gets it when that program has ended
    waited: list[str] = []

    def waiting() -> None:
        waited.append("waits")
        go_on.touch()

    with held(lock, waiting=waiting):
        assert waited == ["waits"]
    with held(lock, waiting=waiting):
        assert waited == ["waits"]
