"""What runs on this machine and what it costs: processes by their mark, CPU seconds, memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

#: The variable by which a contender's processes are found: it holds the contender's folder.
MARK = "ORRERY_BENCHMARK"


def marked(value: str) -> list[psutil.Process]:
    """All processes that name a contender's folder, and their descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if any(word == value or f"{value}/" in word for word in words):
                for one in (process, *process.children(recursive=True)):
                    found[one.pid] = one
        except psutil.Error:
            continue
    found.pop(os.getpid(), None)
    return list(found.values())


def pss_bytes(processes: list[psutil.Process]) -> int:
    """Memory, shared pages counted once over all who share them."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def anonymous_bytes(processes: list[psutil.Process]) -> int:
    """Memory of no file: heaps and stacks, also those that forks still share, once for each of them.

    It grows with what a process keeps. What is shared, or with whom, does not change it.
    """
    total = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Anonymous:"))
    return total * 1024


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """CPU of living processes and of their children that have ended.

    utime + stime + cutime + cstime of /proc/PID/stat: the kernel adds what an ended process used to the
    parent that waited for it. What nobody in the tree waited for is missing.
    """
    total = 0.0
    for process in processes:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the processes with one mark have used until now."""

    cpu_seconds: float
    pss_mb: float
    processes: int


def usage(mark: str) -> Usage:
    processes = marked(mark)
    return Usage(
        cpu_seconds=cpu_seconds(processes),
        pss_mb=pss_bytes(processes) / 2**20,
        processes=len(processes),
    )
