"""Descendants whose parents have ended: the agent inherits them, and must not leave them as zombies."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orrery.worker.zygotes import Zygotes

_PR_SET_CHILD_SUBREAPER = 36


def adopt_descendants() -> bool:
    """Become the parent of descendants that lose theirs; False where the kernel does not offer it."""
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    return False


def reap(zygotes: Zygotes) -> None:
    """Take note of every child that has ended.

    The zygotes' own ends are left to their `Popen`; the children of a lost zygote are handed to it; what
    else there is was left behind by a task.
    """
    everyone = zygotes.each()
    own = {each.process.pid: each for each in everyone if each.process is not None}
    seen: set[int] = set()
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in seen:
            return
        seen.add(found.si_pid)
        pid = found.si_pid
        if pid in own:
            own[pid].reap()
        elif not any(each.adopt(pid, lambda pid=pid: _wait(pid)) for each in everyone):  # type: ignore[misc]
            _wait(pid)


def _wait(pid: int) -> tuple[int, float, int] | None:
    with contextlib.suppress(ChildProcessError):
        _, status, used = os.wait4(pid, 0)
        return status, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    return None
