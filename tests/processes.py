"""What /proc tells of processes that tests look at."""

from __future__ import annotations

from pathlib import Path


def children(pid: int) -> set[int]:
    """Return the children that a process's first thread has made and not taken yet."""
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def stack_start(pid: int) -> str:
    """Return where the kernel has put a program's stack: exec moves it, fork does not."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[25]


def is_fork(pid: int, of: int) -> bool:
    """Tell whether one process came from another without exec."""
    return stack_start(pid) == stack_start(of)
