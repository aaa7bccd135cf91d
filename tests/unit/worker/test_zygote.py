"""A zygote as a process of its own, with a played task: what it forks, when, and what ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.processes import children
from tests.waiting import until

from orrery.worker import channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 30

#: A zygote whose tasks say who they are, and end when nobody listens to them any more.
PROGRAM = """
import os, socket, sys, types
from orrery.worker import spare, zygote

def run(message, files):
    os.write(files[0], f"{message['id']} {os.getpid()} {len(os.listdir('/proc/self/fd'))}".encode())
    os.read(files[0], 1)
    os._exit(7)

sys.modules["orrery.worker.child"] = types.SimpleNamespace(run=run)
import orrery.worker
orrery.worker.child = sys.modules["orrery.worker.child"]
spare.KEPT_SECONDS = float(sys.argv[2])
zygote.Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()
"""


class Played:
    """The agent's end of a zygote."""

    def __init__(self, kept_seconds: float) -> None:
        self.end, theirs = channel.pair()
        self.end.settimeout(PATIENCE_SECONDS)
        self.ends = [self.end]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(theirs.fileno()), str(kept_seconds)],
                pass_fds=[theirs.fileno()],
            )

    def fork(self, name: str, kind: str = "task") -> tuple[int, socket.socket, int]:
        """Have a child made; return its pid, the end that it listens to, and how many files it has open."""
        mine, theirs = socket.socketpair()
        mine.settimeout(PATIENCE_SECONDS)
        self.ends.append(mine)
        with theirs:
            channel.send(self.end, {"type": "fork", "id": name, "kind": kind}, [theirs.fileno()])
        told = self.hear()
        assert (told["type"], told["id"]) == ("forked", name)
        who, pid, files = mine.recv(100).decode().split()
        assert (who, int(pid)) == (name, told["pid"])
        return told["pid"], mine, int(files)

    def hear(self) -> dict[str, Any]:
        message, _ = channel.receive(self.end)
        assert message is not None
        return message

    def children(self) -> set[int]:
        return children(self.process.pid)

    def spares(self, *tasks: int) -> set[int]:
        return self.children() - set(tasks)


@pytest.fixture
def zygotes() -> Iterator[Callable[[float], Played]]:
    made: list[Played] = []

    def make(kept_seconds: float = 1000) -> Played:
        made.append(Played(kept_seconds))
        return made[-1]

    yield make
    for each in made:
        for end in each.ends:
            end.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            each.process.wait(PATIENCE_SECONDS)
        each.process.kill()
        each.process.wait()


def leads_its_group(pid: int) -> bool:
    return os.getpgid(pid) == pid


def test_the_first_task_is_forked_when_it_comes_and_the_next_one_was_before(
    zygotes: Callable[[], Played],
) -> None:
    zygote = zygotes()

    first, _, files = zygote.fork("a")
    until(lambda: zygote.spares(first))
    [spare] = zygote.spares(first)
    second, _, as_many = zygote.fork("b")

    assert second == spare
    # It knows nothing of the channels to the agent and to those before it.
    assert as_many == files


def test_its_end_is_told_like_any_others(zygotes: Callable[[], Played]) -> None:
    zygote = zygotes()
    zygote.fork("a")
    pid, end, _ = zygote.fork("b")

    end.close()

    told = zygote.hear()
    assert (told["type"], told["pid"], os.waitstatus_to_exitcode(told["status"])) == ("exited", pid, 7)


def test_a_task_leads_its_process_group_whether_it_was_a_spare_or_not(zygotes: Callable[[], Played]) -> None:
    zygote = zygotes()

    for name in ("a", "b"):
        pid, _, _ = zygote.fork(name)
        until(partial(leads_its_group, pid))


def test_a_spare_that_is_not_needed_ends(zygotes: Callable[[float], Played]) -> None:
    zygote = zygotes(0.2)
    pid, _, _ = zygote.fork("a")
    # It does one thing after the other: now the spare has been forked, and may have ended already.
    other, _, _ = zygote.fork("callback", kind="workload")

    until(lambda: not zygote.spares(pid, other))

    another, _, _ = zygote.fork("b")
    assert another != pid


def test_when_the_spare_was_killed_a_child_is_forked(zygotes: Callable[[], Played]) -> None:
    zygote = zygotes()
    first, _, _ = zygote.fork("a")
    until(lambda: zygote.spares(first))
    [spare] = zygote.spares(first)

    os.kill(spare, signal.SIGKILL)
    until(lambda: spare not in zygote.children())
    second, _, _ = zygote.fork("b")

    assert second != spare


def test_a_workload_takes_no_spare_and_leaves_none(zygotes: Callable[[], Played]) -> None:
    zygote = zygotes()

    workload, _, _ = zygote.fork("callback", kind="workload")
    task, _, _ = zygote.fork("a")
    until(lambda: zygote.spares(workload, task))
    spares = zygote.spares(workload, task)
    another, _, _ = zygote.fork("another", kind="workload")

    assert another not in spares
    assert zygote.spares(workload, task, another) == spares


def test_a_retired_zygote_ends_with_its_last_task_and_its_spare_at_once(
    zygotes: Callable[[], Played],
) -> None:
    zygote = zygotes()
    pid, end, _ = zygote.fork("a")
    until(lambda: zygote.spares(pid))

    channel.send(zygote.end, {"type": "retire"})
    until(lambda: zygote.children() == {pid})
    late, other, _ = zygote.fork("late")
    assert zygote.children() == {pid, late}
    end.close()
    other.close()

    assert zygote.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, None])
def test_a_spare_ends_with_its_zygote(zygotes: Callable[[], Played], number: signal.Signals | None) -> None:
    zygote = zygotes()
    pid, _, _ = zygote.fork("a")
    until(lambda: zygote.spares(pid))
    [spare] = zygote.spares(pid)

    if number is None:
        zygote.end.close()
    else:
        zygote.process.send_signal(number)
    zygote.process.wait(PATIENCE_SECONDS)

    until(lambda: not Path(f"/proc/{spare}").exists())
