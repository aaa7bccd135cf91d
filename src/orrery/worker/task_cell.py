"""One task's cell: measured while the task runs, and removed with all that is left of it."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.worker import cgroup, processes, scratch
from orrery.worker.usage import Excess, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.executor.request import Request
    from orrery.worker.cell_spec import CellSpec
    from orrery.worker.cgroup import Group
    from orrery.worker.limits import Limits
    from orrery.worker.means import Means

#: How often the size of a temporary folder is looked at.
DISK_LOOK_SECONDS = 5.0
#: A look at a huge folder takes time: at most this share of one thread.
_DISK_LOOK_SHARE = 0.1
#: What a look has measured need not be measured again so soon: without cgroups it is work.
_LOOK_HOLDS_SECONDS = 2.0


class Cell:
    """One task's cell."""

    def __init__(
        self,
        *,
        spec: CellSpec,
        request: Request,
        limits: Limits,
        means: Means,
        mark: int,
        group: Group | None,
        members: Callable[[], list[int]],
        on_removed: Callable[[Cell], None],
    ) -> None:
        self.spec = spec
        self.request = request
        self.limits = limits
        self.mark = mark
        #: What `remove` could not remove.
        self.leftovers: tuple[str, ...] = ()
        self._means = means
        self._group = group
        self._members = members
        self._on_removed = on_removed
        self._usage = Usage()
        self._lock = threading.Lock()
        self._is_removed = False
        self._was_empty = False
        self._looked_at = -math.inf
        self._next_disk_look = time.monotonic() + DISK_LOOK_SECONDS

    @property
    def name(self) -> str:
        """The task's."""
        return self.spec.name

    @property
    def memory_limit_bytes(self) -> int:
        """Above this the task is ended."""
        return self.limits.memory_bytes

    def usage(self) -> Usage:
        """Return what it uses now and has used at most; after `remove` the last that was seen.

        Without cgroups the memory of a task that lives for less than a second may never have been seen,
        and is 0; its CPU time then is better taken from `wait4`.
        """
        with self._lock:
            is_known = self._is_removed or time.monotonic() - self._looked_at < _LOOK_HOLDS_SECONDS
            if not is_known:
                self._measure(None)
            return self._usage

    def kill(self, sent: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of the task, also to those that have left its process group."""
        if sent == signal.SIGKILL and self._group is not None:
            self._group.kill()
        else:
            cgroup.kill_pids(self._members, signal.Signals(sent))

    def remove(self) -> Usage:
        """Kill what is left of the task and remove the cell; never raises, may be repeated.

        What could not be removed is in `leftovers` afterwards.
        """
        with self._lock:
            if self._is_removed and not self.leftovers:
                return self._usage
            members = [] if self._was_empty else self._members()
            if not self._is_removed and not self._means.is_full:
                self._measure(members)
            if members:
                members = cgroup.wait_until_empty(self._members, self.kill)
            left = [f"process {pid}" for pid in members]
            if self._group is not None:
                if not self._is_removed:
                    self._measure([])
                left += self._group.remove()
            left += scratch.remove(Path(self.spec.scratch))
            self.leftovers = tuple(left)
            self._is_removed = True
            self._usage = dataclasses.replace(self._usage, memory_bytes=0, pids=0)
        self._on_removed(self)
        return self._usage

    def is_empty(self) -> bool:
        """Whether no process of the task is left; what it leaves in its folder is there until `remove`.

        To be asked when its first process has ended: then nobody enters any more.
        """
        self._was_empty = self._was_empty or not self._members()
        return self._was_empty

    def look(self, members: list[int] | None = None) -> Excess | None:
        """Return the limit that its processes exceed, of those that the kernel does not keep.

        `members`: who they are, if that is known.
        """
        with self._lock:
            if self._is_removed:
                return None
            used, means = self._measure(members), self._means
            self._looked_at = time.monotonic()
        if means.memory == "watch" and used.memory_bytes > self.limits.memory_bytes:
            return Excess(kind="memory", used=used.memory_bytes, limit=self.limits.memory_bytes)
        if means.pids == "watch" and used.pids > self.limits.pids:
            return Excess(kind="pids", used=used.pids, limit=self.limits.pids)
        return None

    def look_at_disk(self) -> Excess | None:
        """Return whether the temporary folder is too large, if disk was asked for and a look is due."""
        now = time.monotonic()
        if self.limits.disk_bytes is None or now < self._next_disk_look or self._is_removed:
            return None
        size = scratch.size_bytes(Path(self.spec.scratch))
        took = time.monotonic() - now
        self._next_disk_look = now + max(DISK_LOOK_SECONDS, took / _DISK_LOOK_SHARE)
        with self._lock:
            self._usage = dataclasses.replace(self._usage, disk_bytes=size)
        if size > self.limits.disk_bytes:
            return Excess(kind="disk", used=size, limit=self.limits.disk_bytes)
        return None

    def _measure(self, members: list[int] | None) -> Usage:
        """Measure, and remember the most; what the cgroup does not count is summed over processes."""
        means, before = self._means, self._usage
        is_empty = members is not None and not members
        now = self._group.usage(is_empty=is_empty) if self._group is not None else Usage()
        if means.memory == "watch" or means.pids == "watch" or self._group is None:
            total = processes.total(self._members() if members is None else members)
            now = dataclasses.replace(
                now,
                memory_bytes=total.memory_bytes if means.memory == "watch" else now.memory_bytes,
                pids=total.threads if means.pids == "watch" else now.pids,
                cpu_seconds=now.cpu_seconds or total.cpu_seconds,
            )
        self._usage = dataclasses.replace(
            now,
            memory_peak_bytes=max(before.memory_peak_bytes, now.memory_peak_bytes, now.memory_bytes),
            # Processes that end take their time with them, unless somebody waits for them.
            cpu_seconds=max(before.cpu_seconds, now.cpu_seconds),
            oom_kills=max(before.oom_kills, now.oom_kills),
            refused_forks=max(before.refused_forks, now.refused_forks),
            disk_bytes=before.disk_bytes,
        )
        return self._usage
