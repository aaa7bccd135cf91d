"""Find and end the processes of a deployment, by the mark that they carry in their environment."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from orrery.local.state import State

#: The variable that marks every process of a local deployment with the deployment's id.
MARK = "ORRERY_DEPLOYMENT"


def marked(deployment_id: str) -> list[psutil.Process]:
    """Return the living processes that carry a deployment's mark, our own and our ancestors excepted."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid not in ours
                and process.environ().get(MARK) == deployment_id
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue  # gone, or another user's: not one that we started
    return found


def of(state: State) -> list[psutil.Process]:
    """Return the living processes of a deployment.

    The database is also found by its own pid file: root in a container may not read the environment
    of a process that another user runs.
    """
    found = {process.pid: process for process in marked(state.deployment_id)}
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid = int((state.postgres / "postmaster.pid").read_text().split("\n", 1)[0])
        if pid not in found and is_running(pid, program="postgres", argument=state.postgres):
            found[pid] = psutil.Process(pid)
    return list(found.values())


def end(processes: Iterable[psutil.Process], *, grace_seconds: float) -> list[int]:
    """Ask processes to stop, kill those that have not after the grace; return the pids ended."""
    asked = list(processes)
    for process in asked:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(asked, timeout=grace_seconds)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=2)
    return [process.pid for process in asked]


def memory_bytes(pid: int) -> int | None:
    """Return the memory of a process and its descendants, in bytes; None when the process is gone.

    Where the kernel tells the proportional set size, shared pages count once over all who share them.
    It does not tell an ordinary user that of a process which hides its memory, as those that run tasks
    do: such a one counts with what it has over its parent, of which it is a fork.
    """
    try:
        root = psutil.Process(pid)
        sizes = {root.pid: _resident(root)}
        total = _proportional(root) or sizes[root.pid]
        for process in root.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # gone meanwhile
                sizes[process.pid] = _resident(process)
                over = max(0, sizes[process.pid] - sizes.get(process.ppid(), 0))
                total += _proportional(process) or over
    except psutil.Error:
        return None
    return total


def listener(port: int) -> str | None:
    """Name the process that listens on a TCP port of this machine: `name (pid 123)`; None if unknown."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            if connection.pid is None:
                return None
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"pid {connection.pid}"
    return None


def is_running(pid: int, *, program: str, argument: Path) -> bool:
    """Whether a pid is really this program with this argument, not a stranger that got its number."""
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
    except psutil.Error:
        return False
    return bool(command) and command[0].endswith(program) and str(argument) in command


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.Error):
        send()


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _proportional(process: psutil.Process) -> int | None:
    """Return the proportional set size; None where it may not be read, or the system knows none."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0)) or None
    except psutil.AccessDenied:
        return None
