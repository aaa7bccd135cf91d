"""Cells with real processes: by what this machine has, by cgroup version 2 alone, and without cgroups."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from orrery.errors import InputError, MachineError, StateError
from orrery.executor.request import Request
from orrery.executor.resources import Resources
from orrery.worker import cgroup, kernel, processes
from orrery.worker.cell import Backend, Cell, Cells
from orrery.worker.ending import describe
from orrery.worker.enter import CellSpec, enter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1024**2
PATIENCE_SECONDS = 30.0
IS_ROOT = os.geteuid() == 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    memory_limit_factor: float = 1.0
    cpu_cap: bool = False
    pids_limit: int = 40


def asks(memory_mib: int = 100, *, disk_mib: int = 0, cpu_millicores: int = 200) -> Request:
    return Request(
        resources=Resources(
            cpu_millicores=cpu_millicores, memory_bytes=memory_mib * MIB, disk_bytes=disk_mib * MIB
        )
    )


@pytest.fixture(params=["auto", "v2", "none"])
def cells(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cells]:
    backend: Backend = request.param
    opened = Cells.open(tmp_path / "state", settings=Settings(), backend=backend)
    if backend != "none" and opened.means.processes == "mark":
        opened.close()
        pytest.skip(f"no cgroups here: {opened.means.reason}")
    yield opened
    left = opened.close()
    assert left == ()
    assert groups_of(opened) == []


def groups_of(cells: Cells) -> list[Path]:
    hierarchy = cells._hierarchy
    return [folder for folder in hierarchy.folders if folder.exists()] if hierarchy else []


class Task:
    """A child in a cell, as the zygote starts it."""

    def __init__(self, cell: Cell, body: Callable[[], object]) -> None:
        self.cell = cell
        self.code: int | None = None
        text = json.dumps(cell.spec.as_mapping())
        self.pid = os.fork()
        if not self.pid:
            self._run(text, body)

    @staticmethod
    def _run(spec: str, body: Callable[[], object]) -> NoReturn:
        code = 99
        try:
            enter(CellSpec.from_json(spec))
            body()
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def poll(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self) -> int:
        until(self.poll)
        assert self.code is not None
        return self.code


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def run_watched(cells: Cells, task: Task) -> tuple[str, str]:
    """Do what the agent does; return kind and words of the ending."""
    killed: list[tuple[str, str]] = []

    def ended() -> bool:
        for cell, kind, words in cells.watch():
            killed.append((kind, words))
            cell.kill()
        return task.poll()

    until(ended)
    assert task.code is not None
    return (
        killed[0]
        if killed
        else describe(
            task.code,
            measure=task.cell.usage,
            request=task.cell.request,
            memory_limit_bytes=task.cell.memory_limit_bytes,
        )
    )


def lives(pid: int) -> bool:
    text = cgroup.read(f"/proc/{pid}/stat") or ""
    return bool(text) and text.rpartition(")")[2].split()[0] not in "ZX"


def eat() -> None:
    held = []
    while True:
        held.append(bytearray(4 * MIB))
        time.sleep(0.005)


def eat_in_a_grandchild() -> None:
    child = os.fork()
    if not child:
        eat()
    _, status = os.waitpid(child, 0)
    os._exit(1 if status else 0)


@pytest.mark.parametrize("body", [eat, eat_in_a_grandchild])
def test_a_task_above_its_memory_limit_is_ended_with_numbers(cells: Cells, body: Callable[[], None]) -> None:
    # Given a task that asks for 100 MiB and takes ever more
    task = Task(cells.create("hog", asks(100)), body)
    # When it runs
    kind, words = run_watched(cells, task)
    # Then it was ended, with the numbers and what to ask for
    assert task.code != 0
    assert kind == "out_of_memory"
    assert " of 100 MiB; raise resources memory, for instance to " in words
    assert task.cell.remove().memory_peak_bytes >= 99 * MIB
    assert task.cell.leftovers == ()


def bomb() -> None:
    while True:
        try:
            if not os.fork():
                time.sleep(60)
                os._exit(0)
        except OSError:
            os._exit(7)


def test_a_fork_bomb_is_held_to_the_limit_and_removed(cells: Cells) -> None:
    # Given a task that forks for ever
    task = Task(cells.create("bomb", asks(500)), bomb)
    # When it runs
    kind, words = run_watched(cells, task)
    # Then it was refused, or killed, and the reason is told
    assert "processes" in words, (kind, words)
    # And nothing of it is left
    pids = processes.of_mark(task.cell.mark)
    task.cell.remove()
    assert task.cell.leftovers == ()
    assert not any(lives(pid) for pid in pids)


def detach(pid_file: Path, *, by_exec: bool) -> None:
    """Become a daemon in every way there is, and take no notice of polite signals."""
    if os.fork():
        until(pid_file.exists)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pid_file.with_suffix(".new").write_text(str(os.getpid()))
    pid_file.with_suffix(".new").rename(pid_file)
    os.closerange(0, 256)
    if by_exec:
        os.execve("/bin/sleep", ["sleep", "1000"], {})  # noqa: S606
    time.sleep(1000)
    os._exit(0)


def test_a_cell_is_empty_when_nobody_is_left_in_it(cells: Cells, tmp_path: Path) -> None:
    task = Task(cells.create("mother", asks()), lambda: detach(tmp_path / "pid", by_exec=False))
    assert task.wait() == 0
    daemon = int((tmp_path / "pid").read_text())

    assert not task.cell.is_empty()
    task.cell.kill()
    deadline = time.monotonic() + 30
    while not task.cell.is_empty():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert not lives(daemon)
    task.cell.remove()


@pytest.mark.parametrize("by_exec", [False, True], ids=["forked", "executed without environment"])
def test_a_daemon_that_detaches_itself_is_killed_at_the_end(
    cells: Cells, tmp_path: Path, by_exec: bool
) -> None:
    # Given a task that has ended well and left a daemon behind
    task = Task(cells.create("mother", asks()), lambda: detach(tmp_path / "pid", by_exec=by_exec))
    assert task.wait() == 0
    daemon = int((tmp_path / "pid").read_text())
    assert lives(daemon)
    # When its cell is removed
    task.cell.remove()
    # Then the daemon has ended
    assert not lives(daemon)
    assert task.cell.leftovers == ()


def test_a_task_that_ignores_polite_signals_is_killed_on_removal(cells: Cells, tmp_path: Path) -> None:
    # Given a task that takes note of SIGTERM and goes on
    seen = tmp_path / "seen"

    def stubborn() -> None:
        signal.signal(signal.SIGTERM, lambda *_: seen.touch())
        (tmp_path / "ready").touch()
        while True:
            time.sleep(1)

    task = Task(cells.create("stubborn", asks()), stubborn)
    until((tmp_path / "ready").exists)
    # When it is asked, and then its cell removed
    task.cell.kill(signal.SIGTERM)
    until(seen.exists)
    assert not task.poll()
    task.cell.remove()
    # Then it is dead
    assert task.wait() == -signal.SIGKILL


def test_a_child_leads_its_own_group_and_uses_its_own_folder(cells: Cells, tmp_path: Path) -> None:
    # Given a cell, and a parent that has asked for its temporary folder before
    tempfile.gettempdir()
    cell = cells.create("a task/with:odd name", asks())
    out = tmp_path / "out.json"

    def body() -> None:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        found = {
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "folder": tempfile.gettempdir(),
            "variable": os.environ["TMPDIR"],
            "task": os.environ["ORRERY_TASK"],
            "new": status.partition("NoNewPrivs:")[2].split()[0],
        }
        tempfile.NamedTemporaryFile(delete=False).write(b"left")  # noqa: SIM115
        out.write_text(json.dumps(found))

    # When a child enters it
    task = Task(cell, body)
    assert task.wait() == 0
    # Then
    found = json.loads(out.read_text())
    folder = Path(cell.spec.scratch)
    assert found["pid"] == found["group"] == task.pid
    assert found["folder"] == found["variable"] == str(folder)
    assert found["task"] == "a task/with:odd name"
    assert found["new"] == "1"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 1
    cell.remove()
    assert not folder.exists()


def test_a_task_may_keep_the_right_to_use_sudo(cells: Cells) -> None:
    cell = cells.create("sudo", asks(), no_new_privs=False)

    def body() -> None:
        assert "NoNewPrivs:\t0" in Path("/proc/self/status").read_text(encoding="ascii")

    assert Task(cell, body).wait() == 0


def test_two_tasks_have_nothing_in_common(cells: Cells, tmp_path: Path) -> None:
    # Given two tasks that sleep
    def body(name: str) -> None:
        Path(tempfile.gettempdir(), name).touch()
        (tmp_path / name).touch()
        time.sleep(1000)

    first, second = (Task(cells.create(name, asks()), lambda name=name: body(name)) for name in ("a", "b"))  # type: ignore[misc]
    until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    assert first.cell.spec.scratch != second.cell.spec.scratch
    # When one cell is removed
    first.cell.remove()
    # Then the other lives on with its file
    assert first.wait() == -signal.SIGKILL
    assert not second.poll()
    assert Path(second.cell.spec.scratch, "b").exists()


def test_usage_counts_children_that_have_detached_themselves(cells: Cells, tmp_path: Path) -> None:
    # Given a task whose child holds memory and has used CPU
    def body() -> None:
        if not os.fork():
            os.setsid()
            held = b"x" * (60 * MIB)
            end = time.process_time() + 0.2
            while time.process_time() < end:
                pass
            (tmp_path / "ready").touch()
            time.sleep(1000)
            print(len(held))
        time.sleep(1000)

    task = Task(cells.create("family", asks(200)), body)
    until((tmp_path / "ready").exists)
    # When it is measured
    usage = task.cell.usage()
    # Then both are in it
    assert usage.memory_bytes >= 60 * MIB
    assert usage.memory_peak_bytes >= usage.memory_bytes
    assert usage.cpu_seconds >= 0.2
    assert usage.oom_kills == 0
    # And at the end nothing runs, but the most is remembered
    after = task.cell.remove()
    assert (after.memory_bytes, after.pids) == (0, 0)
    assert after.memory_peak_bytes >= 60 * MIB
    assert task.cell.usage() == after
    assert task.cell.remove() == after


def test_file_cache_is_no_use_of_memory(cells: Cells, tmp_path: Path) -> None:
    # Given a task that writes and reads a large file and holds nothing of it
    def body() -> None:
        with (tmp_path / "large").open("wb+") as file:
            for _ in range(60):
                file.write(b"x" * MIB)
            file.flush()
            os.fsync(file.fileno())

    task = Task(cells.create("reader", asks(200)), body)
    assert task.wait() == 0
    # When the cell is removed, then the cache is not in the most it has used
    assert task.cell.remove().memory_peak_bytes < 40 * MIB


def test_a_temporary_folder_above_the_disk_request_is_found(
    cells: Cells, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given a task that asks for 1 MiB of disk and writes 3
    monkeypatch.setattr("orrery.worker.task_cell.DISK_LOOK_SECONDS", 0.0)

    def body() -> None:
        Path(tempfile.gettempdir(), "large").write_bytes(b"x" * (3 * MIB))
        time.sleep(1000)

    task = Task(cells.create("writer", asks(disk_mib=1)), body)
    # When it is watched
    kind, words = run_watched(cells, task)
    # Then it is ended and told why
    assert kind == "disk_full"
    assert words.startswith("Temporary folder used ")
    assert " of 1 MiB; raise resources disk" in words
    assert task.cell.remove().disk_bytes > MIB


def test_a_task_that_keeps_to_its_limits_is_left_alone(cells: Cells) -> None:
    task = Task(cells.create("good", asks(100, disk_mib=10)), lambda: time.sleep(0.3))
    assert run_watched(cells, task) == ("finished", "")


def test_a_name_is_used_once_at_a_time(cells: Cells) -> None:
    cell = cells.create("same", asks())
    with pytest.raises(StateError, match="'same' already"):
        cells.create("same", asks())
    cell.remove()
    cells.create("same", asks()).remove()


def test_an_unknown_user_is_an_input_error(cells: Cells) -> None:
    with pytest.raises(InputError, match="no user 'nobody-of-that-name'"):
        cells.create("task", asks(), user="nobody-of-that-name")


@pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
def test_a_task_may_run_as_another_user(tmp_path: Path) -> None:
    # Given a folder that everybody may pass
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        cells = Cells.open(Path(folder) / "state", settings=Settings())
        cell = cells.create("other", asks(), user="nobody")
        nobody = pwd.getpwnam("nobody")

        # When the child enters
        def body() -> None:
            assert (os.getuid(), os.getgid()) == (nobody.pw_uid, nobody.pw_gid)
            assert os.environ["USER"] == "nobody"
            Path(tempfile.gettempdir(), "file").write_text("mine")
            Path("/proc/self/environ").read_bytes()

        # Then it is the other, with a folder of its own
        assert Task(cell, body).wait() == 0
        assert (Path(cell.spec.scratch) / "file").stat().st_uid == nobody.pw_uid
        cell.remove()
        # And where the user cannot come, nothing is started
        Path(folder).chmod(0o700)
        with pytest.raises(MachineError, match="'nobody': that user may not enter"):
            cells.create("other", asks(), user="nobody")
        assert cells.close() == ()


def test_whatever_a_task_leaves_in_its_folder_is_removed_and_nothing_else(
    cells: Cells, tmp_path: Path
) -> None:
    # Given something outside, and a task that links to it, hides files, and nests folders deeply
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")

    def body() -> None:
        top = Path(tempfile.gettempdir())
        (top / "link").symlink_to(outside)
        (top / "locked" / "inner").mkdir(parents=True)
        (top / "locked" / "inner" / "file").touch()
        (top / "locked" / "inner").chmod(0)
        (top / "locked").chmod(0)
        os.mkfifo(top / "pipe")
        os.chdir(top)
        for _ in range(1500):  # deeper than any path may be long, and than Python recurses
            Path("deep").mkdir()
            os.chdir("deep")
        Path("file").touch()

    task = Task(cells.create("messy", asks()), body)
    assert task.wait() == 0
    # When the cell is removed
    task.cell.remove()
    # Then all of it is gone, and what it pointed at is there
    assert task.cell.leftovers == ()
    assert not Path(task.cell.spec.scratch).exists()
    assert (outside / "precious").read_text() == "kept"


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
def test_a_mount_in_the_folder_is_taken_away_and_not_emptied(cells: Cells, tmp_path: Path) -> None:
    # Given a task that has mounted a folder of the machine
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")

    def body() -> None:
        target = Path(tempfile.gettempdir(), "a mount")
        target.mkdir()
        kernel.mount(str(outside), str(target), flags=kernel.BIND)

    task = Task(cells.create("mounter", asks()), body)
    assert task.wait() == 0
    # When the cell is removed
    task.cell.remove()
    # Then
    assert task.cell.leftovers == ()
    assert not Path(task.cell.spec.scratch).exists()
    assert (outside / "precious").read_text() == "kept"


def test_a_cpu_cap_holds_a_task_back(tmp_path: Path) -> None:
    # Given a machine that can cap, and a task that asks for a twentieth of a CPU
    cells = Cells.open(tmp_path / "state", settings=Settings(cpu_cap=True))
    if not cells.means.cpu.startswith("cgroup"):
        cells.close()
        pytest.skip("no CPU controller here")

    def spin() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    task = Task(cells.create("spinner", asks(cpu_millicores=50)), spin)
    # When it wants more
    assert task.wait() == 0
    # Then it had to wait for its turn
    throttled = [
        cgroup.entries(Path(path).parent / "cpu.stat").get("nr_throttled", 0) for path in task.cell.spec.join
    ]
    assert max(throttled) > 0
    task.cell.remove()
    assert cells.close() == ()


_AGENT = """
import os, sys, time
from dataclasses import dataclass
from pathlib import Path
from orrery.executor.request import Request
from orrery.executor.resources import Resources
from orrery.worker.cell import Cells
from orrery.worker.enter import enter

@dataclass(frozen=True)
class Settings:
    memory_limit_factor: float = 1.0
    cpu_cap: bool = False
    pids_limit: int = 40

cells = Cells.open(Path(sys.argv[1]), settings=Settings(), backend=sys.argv[2])
for name in ("one", "two"):
    cell = cells.create(name, Request(resources=Resources(cpu_millicores=100, memory_bytes=2**28)))
    if not os.fork():
        enter(cell.spec)
        if not os.fork():
            os.setsid()
        Path(os.environ["TMPDIR"], str(os.getpid())).touch()
        time.sleep(1000)
print(" ".join(cells.means.processes.split()), flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("backend", ["auto", "v2", "none"])
def test_what_a_killed_agent_leaves_is_removed_by_the_next(tmp_path: Path, backend: Backend) -> None:
    # Given an agent with two tasks of two processes each
    state = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", _AGENT, str(state), backend], stdout=subprocess.PIPE
    ) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline()
            until(lambda: len(list((state / "scratch").glob("*/*"))) == 4)
            pids = [int(path.name) for path in (state / "scratch").glob("*/*")]
            # And a second agent is refused while it lives
            with pytest.raises(StateError, match="Another agent"):
                Cells.open(state, settings=Settings(), backend=backend)
            assert all(map(lives, pids))
        finally:
            agent.kill()
    # When it was killed, and the next one begins
    assert all(map(lives, pids))
    cells = Cells.open(state, settings=Settings(), backend=backend)
    # Then processes, folders and cgroups of the dead one are gone
    assert cells.leftovers == ()
    assert not any(map(lives, pids))
    assert list((state / "scratch").iterdir()) == []
    assert [path for folder in groups_of(cells) for path in folder.iterdir() if path.is_dir()] == []
    assert cells.close() == ()


def test_the_mark_of_one_agent_is_not_anothers(tmp_path: Path) -> None:
    # Given a task of one agent
    first = Cells.open(tmp_path / "first", settings=Settings(), backend="none")
    task = Task(first.create("task", asks()), lambda: time.sleep(1000))
    until(lambda: processes.of_mark(task.cell.mark))
    # When an agent of another folder begins
    second = Cells.open(tmp_path / "second", settings=Settings(), backend="none")
    # Then it leaves that task alone
    assert not task.poll()
    assert second.close() == ()
    assert first.close() == ()
    assert task.wait() == -signal.SIGKILL


def as_nobody(body: Callable[[], None]) -> None:
    """Run that as an unprivileged user, and fail as it fails."""
    child = os.fork()
    if not child:
        code = 1
        try:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            kernel.set_dumpable()
            body()
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder of nobody's, which the user can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        state = Path(folder) / "state"
        state.mkdir()
        os.chown(state, pwd.getpwnam("nobody").pw_uid, -1)
        yield state


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user to try it")
def test_an_agent_without_rights_falls_back_and_says_so(shared: Path) -> None:
    def body() -> None:
        # Given an agent without any rights
        cells = Cells.open(shared, settings=Settings())
        assert (cells.means.memory, cells.means.cpu, cells.means.pids) == ("watch", "nothing", "watch")
        assert "Permission denied" in " ".join(cells.means.notes)
        # And says so in a file that tools read
        told = json.loads((shared / "isolation.json").read_text(encoding="utf-8"))
        assert told["memory"] == "watch"
        assert told["notes"] == list(cells.means.notes)
        # Then its tasks are limited and removed all the same
        task = Task(cells.create("hog", asks(100)), eat)
        kind, _ = run_watched(cells, task)
        assert kind == "out_of_memory"
        daemon = shared / "pid"
        task = Task(cells.create("mother", asks()), lambda: detach(daemon, by_exec=True))
        assert task.wait() == 0
        task.cell.remove()
        assert not lives(int(daemon.read_text()))
        assert cells.close() == ()

    as_nobody(body)


@pytest.mark.skipif(not IS_ROOT, reason="only root can hand a cgroup over")
def test_an_agent_without_rights_uses_the_cgroup_that_it_was_given(shared: Path) -> None:
    # Given groups of the agent's name that root has handed over
    probe = Cells.open(shared, settings=Settings())
    if probe._hierarchy is None or probe._hierarchy.version != 1 or not probe.means.is_full:
        probe.close()
        pytest.skip("no cgroups of version 1 here")
    nobody = pwd.getpwnam("nobody")
    for folder in probe._hierarchy.folders:
        for path in (folder, folder / "tasks", folder / "cgroup.procs"):
            os.chown(path, nobody.pw_uid, -1)
    for name in ("cells.lock", "cells.json", "isolation.json", "scratch"):
        os.chown(shared / name, nobody.pw_uid, -1)

    # And an agent of that user's, which is the only one
    assert probe._lock is not None
    os.close(probe._lock)
    probe._lock = None

    def body() -> None:
        cells = Cells.open(shared, settings=Settings())
        assert cells.means.memory == "cgroup v1", cells.means
        task = Task(cells.create("hog", asks(100)), eat)
        kind, words = run_watched(cells, task)
        assert (kind, task.code) == ("out_of_memory", -signal.SIGKILL), words
        assert task.cell.remove().oom_kills == 1
        assert task.cell.leftovers == ()

    as_nobody(body)
    assert probe.close() == ()
