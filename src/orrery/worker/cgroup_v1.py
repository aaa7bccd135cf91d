"""Control groups, version 1: one hierarchy for each controller."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.worker import cgroup
from orrery.worker.limits import PERIOD_MICROSECONDS, SHARES_PER_CPU
from orrery.worker.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orrery.worker.limits import Limits

CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")


class GroupV1:
    """A task's groups: one in each hierarchy that we may use."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._of = folders
        # cpu and cpuacct often share one.
        self._folders = tuple(dict.fromkeys(folders.values()))
        # Not `cgroup.procs`: writing there waits, for some 10 ms, until no process of the machine forks.
        # The child has one thread, so that `tasks` does the same.
        self.join = tuple(f"{folder}/tasks" for folder in self._folders)

    def limit(self, limits: Limits) -> None:
        """Set the limits of the controllers that are there."""
        if memory := self._of.get("memory"):
            cgroup.write(f"{memory}/memory.limit_in_bytes", limits.memory_bytes)
            # Memory and swap together: what does not fit is not swapped out. Often not there.
            cgroup.try_write(f"{memory}/memory.memsw.limit_in_bytes", limits.memory_bytes)
        if cpu := self._of.get("cpu"):
            cgroup.write(f"{cpu}/cpu.shares", limits.cpu_shares)
            if (quota := limits.cpu_quota_microseconds) is not None:
                cgroup.try_write(f"{cpu}/cpu.cfs_period_us", PERIOD_MICROSECONDS)
                cgroup.try_write(f"{cpu}/cpu.cfs_quota_us", quota)
        if pids := self._of.get("pids"):
            cgroup.write(f"{pids}/pids.max", limits.pids)

    def usage(self, *, is_empty: bool = False) -> Usage:
        """Measure; a controller that is not there counts nothing."""
        current = peak = kills = 0
        if memory := self._of.get("memory"):
            stat = cgroup.entries(f"{memory}/memory.stat")
            cache = stat.get("total_inactive_file", 0) + stat.get("total_active_file", 0)
            kills = cgroup.entries(f"{memory}/memory.oom_control").get("oom_kill", 0)
            peak = cgroup.number(f"{memory}/memory.max_usage_in_bytes")
            current = max(0, cgroup.number(f"{memory}/memory.usage_in_bytes") - cache)
            # The kernel's peak counts the file cache; after an out of memory there was none left to drop.
            peak = peak if kills else max(current, peak - cache)
        nanoseconds = cgroup.number(f"{self._of['cpuacct']}/cpuacct.usage") if "cpuacct" in self._of else 0
        pids = self._of.get("pids") if not is_empty else None
        return Usage(
            memory_bytes=current,
            memory_peak_bytes=peak,
            cpu_seconds=nanoseconds / 1e9,
            oom_kills=kills,
            pids=cgroup.number(f"{pids}/pids.current") if pids else 0,
            refused_forks=cgroup.entries(f"{pids}/pids.events").get("max", 0) if pids else 0,
        )

    def members(self) -> list[int]:
        """Return who is within; all hierarchies have the same."""
        return cgroup.pids_in(self._folders[0])

    def kill(self) -> None:
        """Kill all, and let nobody fork meanwhile."""
        if pids := self._of.get("pids"):
            cgroup.try_write(f"{pids}/pids.max", 0)
        cgroup.kill_pids(self.members)

    def remove(self) -> tuple[str, ...]:
        """Remove the groups; return those that stay busy."""
        return cgroup.remove_folders(self._folders)


@dataclass(frozen=True, kw_only=True, slots=True)
class HierarchyV1:
    """The agent's groups, by controller."""

    parents: Mapping[str, Path]
    version: int = 1

    @property
    def controllers(self) -> frozenset[str]:
        """Those that work."""
        return frozenset(self.parents)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Each once."""
        return tuple(dict.fromkeys(self.parents.values()))

    def create(self, name: str) -> GroupV1:
        """Make a task's groups.

        Raises:
            OSError: there is one, or the kernel refuses; then none is left.
        """
        made = []
        try:
            for parent in self.folders:
                made.append(f"{parent}/{name}")
                Path(made[-1]).mkdir()
        except OSError:
            cgroup.remove_folders(tuple(made[:-1]))
            raise
        return GroupV1({controller: f"{parent}/{name}" for controller, parent in self.parents.items()})


def find(mounts: Iterable[cgroup.Mount], name: str, *, cores: float) -> tuple[HierarchyV1 | None, str]:
    """Return the agent's groups of that name, made where that is allowed; else None, and why."""
    parents: dict[str, Path] = {}
    reason = "there is no cgroup of version 1"
    for mount in mounts:
        wanted = [controller for controller in CONTROLLERS if controller in mount.controllers]
        if mount.version != 1 or not wanted:
            continue
        parent = mount.own / name
        try:
            _make(parent)
        except OSError as error:
            reason = f"{parent}: {error.strerror}"
            continue
        parents |= dict.fromkeys(wanted, parent)
    if not parents:
        return None, reason
    if cpu := parents.get("cpu"):
        # All tasks together weigh as much as the machine has cores; else they would weigh as one process.
        cgroup.try_write(cpu / "cpu.shares", max(2, int(cores * SHARES_PER_CPU)))
    return HierarchyV1(parents={each: parents[each] for each in CONTROLLERS if each in parents}), reason


def _make(parent: Path) -> None:
    with suppress(FileExistsError):
        parent.mkdir()
    # Prove that a task's group can be made and joined, not only its parent.
    if not os.access(parent / "tasks", os.W_OK):
        raise PermissionError(13, "its 'tasks' cannot be written")
