"""Processes, by /proc alone: who belongs to a cell, and what they use.

A child's resource limit for real-time CPU time carries the cell's number, its *mark*. No task notices it
(it limits only real-time scheduling, and to millennia), all descendants inherit it, by fork and by
exec, and reading it costs a microsecond.
"""

from __future__ import annotations

import hashlib
import os
import resource
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from orrery.worker import cgroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: The module `resource` has no name for it.
RLIMIT_RTTIME = 15
_MARKED = 1 << 60
_SERIAL_BITS = 32


def marks_of(agent: str) -> range:
    """Return the marks of that agent's cells; the same ones after a restart."""
    digest = hashlib.blake2b(agent.encode(), digest_size=4).digest()
    first = _MARKED | (int.from_bytes(digest) >> 4) << _SERIAL_BITS
    return range(first, first + (1 << _SERIAL_BITS))


def mark_of(pid: int, *, others: bool = True) -> int | None:
    """Return the mark of a process; None: it has none, or does not live.

    `others`: also of one that belongs to another user, which takes longer.
    """
    try:
        soft, _ = resource.prlimit(pid, RLIMIT_RTTIME)
    except PermissionError:
        soft = _mark_of_another_user(pid) if others else -1
    except (OSError, ValueError):
        return None
    return soft if soft >= _MARKED else None


def marked(marks: range | Iterable[int], *, others: bool = True) -> dict[int, list[int]]:
    """Return the living processes of each mark, with `others` also those of other users."""
    found: dict[int, list[int]] = {}
    for pid in all_pids():
        mark = mark_of(pid, others=others)
        if mark is not None and mark in marks and not _is_zombie(pid):
            found.setdefault(mark, []).append(pid)
    return found


def of_mark(mark: int) -> list[int]:
    """Return the living processes of one mark that this user may kill."""
    return marked((mark,), others=False).get(mark, [])


def all_pids() -> Iterator[int]:
    """Yield the PIDs of all processes."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - ten times as fast


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one process uses now."""

    memory_bytes: int
    cpu_seconds: float
    threads: int


def sample(pid: int) -> Sample | None:
    """Measure a process; None: it does not live.

    Memory is anonymous and shared memory, in proportion where processes share it (PSS), because pages
    that the zygote and a hundred tasks share are there once. CPU includes children that were waited for.
    """
    text = cgroup.read(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split() if text else []
    if not fields or fields[0] in "ZX":
        return None
    return Sample(
        memory_bytes=_memory_bytes(pid),
        cpu_seconds=sum(map(int, fields[11:15])) / _ticks(),
        threads=int(fields[17]),
    )


def total(pids: Iterable[int], measure: Callable[[int], Sample | None] = sample) -> Sample:
    """Return the sum over processes."""
    found = [each for each in map(measure, pids) if each is not None]
    return Sample(
        memory_bytes=sum(each.memory_bytes for each in found),
        cpu_seconds=sum(each.cpu_seconds for each in found),
        threads=sum(each.threads for each in found),
    )


def _memory_bytes(pid: int) -> int:
    text = cgroup.read(f"/proc/{pid}/smaps_rollup")
    if text is None:  # of another user, or an old kernel: what is resident and of no file
        pages = (cgroup.read(f"/proc/{pid}/statm") or "0 0 0").split()
        return max(0, int(pages[1]) - int(pages[2])) * resource.getpagesize()
    kilobytes = 0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("Pss_Anon", "Pss_Shmem", "SwapPss"):
            kilobytes += int(value.split()[0])
    return kilobytes * 1024


def _mark_of_another_user(pid: int) -> int:
    for line in (cgroup.read(f"/proc/{pid}/limits") or "").splitlines():
        if line.startswith("Max realtime timeout"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else -1
    return -1


def _is_zombie(pid: int) -> bool:
    text = cgroup.read(f"/proc/{pid}/stat")
    return not text or text.rpartition(")")[2].split()[0] in "ZX"


@cache
def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")
