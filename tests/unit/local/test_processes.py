"""Processes of a deployment are found by their mark and ended, others are left alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from orrery.local import processes
from orrery.local.processes import MARK
from orrery.local.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEPLOYMENT = f"test-{os.getpid()}"
IDLE = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + IDLE


@contextlib.contextmanager
def started(
    code: str = IDLE, *, mark: str | None = DEPLOYMENT, arguments: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    environment = {MARK: mark} if mark else {}
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        try:
            yield child
        finally:
            child.kill()


def pids(deployment: str = DEPLOYMENT) -> set[int]:
    return {process.pid for process in processes.marked(deployment)}


def test_the_marked_are_found_and_nobody_else() -> None:
    with started() as ours, started(mark="another") as other, started(mark=None) as stranger:
        assert pids() == {ours.pid}
        assert pids("another") == {other.pid}
        assert stranger.pid not in pids() | pids("another")


def test_we_and_our_ancestors_are_never_found() -> None:
    # Given a command that was started inside a deployment's environment
    code = (
        "import os; from orrery.local import processes;"
        f"print([p.pid for p in processes.marked({DEPLOYMENT!r})])"
    )
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    ended = subprocess.run(
        [sys.executable, "-c", inner],
        env={**os.environ, MARK: DEPLOYMENT},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip() == "[]"


def test_a_zombie_has_ended_already() -> None:
    with started() as child:
        child.kill()
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert pids() == set()


def test_ending_asks_first(tmp_path: Path) -> None:
    witness = tmp_path / "asked"
    code = (
        "import pathlib, signal, sys, time\n"
        f"stop = lambda *_: sys.exit(pathlib.Path({str(witness)!r}).touch())\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    with started(code) as child:
        assert processes.end(processes.marked(DEPLOYMENT), grace_seconds=20) == [child.pid]
        assert not psutil.pid_exists(child.pid)
    assert witness.exists()


def test_who_does_not_listen_is_killed_after_the_grace() -> None:
    with started(STUBBORN) as child:
        processes.end(processes.marked(DEPLOYMENT), grace_seconds=0.2)
        assert not psutil.pid_exists(child.pid)


def test_a_process_that_has_gone_meanwhile_is_no_error() -> None:
    with started() as child:
        found = processes.marked(DEPLOYMENT)
        child.kill()
        child.wait()
        assert processes.end(found, grace_seconds=1) == [child.pid]


def test_memory_counts_the_descendants() -> None:
    big = "x = bytearray(40_000_000); print('up', flush=True); import time; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {big!r}])"
    with started(code) as parent:
        assert (processes.memory_bytes(parent.pid) or 0) > 40_000_000
        for child in psutil.Process(parent.pid).children():
            child.kill()


def test_the_memory_of_a_process_that_is_gone_is_unknown() -> None:
    with started() as child:
        child.kill()
        child.wait()
    assert processes.memory_bytes(child.pid) is None


#: Takes from root what a container's root lacks: a look into other users' processes.
CONTAINED = ["setpriv", "--bounding-set=-sys_ptrace,-perfmon,-sys_admin", "--"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv to become other users"
)


def contained(code: str) -> str:
    ended = subprocess.run(
        [*CONTAINED, sys.executable, "-c", code],
        env={**os.environ},
        check=True,
        capture_output=True,
        text=True,
    )
    return ended.stdout.strip()


@needs_root
def test_memory_is_told_also_where_the_shared_part_may_not_be_read() -> None:
    with subprocess.Popen([*NOBODY, "sleep", "600"]) as child:
        try:
            told = contained(
                f"from orrery.local import processes; print(processes.memory_bytes({child.pid}))"
            )
        finally:
            child.kill()
    assert int(told) > 0


@needs_root
def test_the_database_is_found_where_its_environment_may_not_be_read(tmp_path: Path) -> None:
    # Given a database that another user runs, as under root in a container
    state = State(tmp_path / ".orrery")
    state.postgres.mkdir(parents=True)
    code = "import sys, time; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(600)"
    command = ["/x/bin/postgres", "-c", code, "-D", str(state.postgres)]
    become = f"import os, sys; os.execv(sys.executable, {command!r})"
    with subprocess.Popen(
        [*NOBODY, "/usr/bin/python3", "-c", become], stdout=subprocess.PIPE, env={MARK: state.deployment_id}
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.read(2) == b"up"
            (state.postgres / "postmaster.pid").write_text(f"{child.pid}\n{state.postgres}\n")
            code = (
                "from pathlib import Path; from orrery.local import processes;"
                "from orrery.local.state import State;"
                f"print([p.pid for p in processes.of(State(Path({str(state.root)!r})))])"
            )
            told = contained(code)
        finally:
            child.kill()
    assert told == f"[{child.pid}]"


@pytest.mark.parametrize("text", ["", "x\n", "{own}\n/elsewhere\n", "999999999\n"])
def test_a_pid_file_that_tells_of_no_server_of_ours_finds_nobody(tmp_path: Path, text: str) -> None:
    state = State(tmp_path / ".orrery")
    state.postgres.mkdir(parents=True)
    (state.postgres / "postmaster.pid").write_text(text.format(own=os.getpid()))
    assert processes.of(state) == []


def test_a_pid_is_ours_only_with_its_program_and_its_argument(tmp_path: Path) -> None:
    name = Path(sys.executable).name
    with started(IDLE, arguments=[str(tmp_path)]) as child:
        assert processes.is_running(child.pid, program=name, argument=tmp_path)
        assert not processes.is_running(child.pid, program="postgres", argument=tmp_path)
        assert not processes.is_running(child.pid, program=name, argument=tmp_path / "other")
    assert not processes.is_running(child.pid, program=name, argument=tmp_path)


@needs_root
def test_a_fork_that_hides_its_memory_counts_with_what_it_has_over_its_parent() -> None:
    # Given a process of another user whose child is a fork of it, and a reader without special rights
    code = (
        "import os, time\n"
        "held = bytearray(os.urandom(60_000_000))\n"
        "if os.fork() == 0:\n    time.sleep(600)\n"
        "print('up', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([*NOBODY, "/usr/bin/python3", "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.read(2) == b"up"
        children = psutil.Process(parent.pid).children()
        try:
            told = int(
                contained(f"from orrery.local import processes; print(processes.memory_bytes({parent.pid}))")
            )
        finally:
            for child in children:
                child.kill()
            parent.kill()
    # Then the 60 MB that both see count once
    assert 60_000_000 < told < 110_000_000
