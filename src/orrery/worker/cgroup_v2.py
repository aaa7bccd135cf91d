"""Control groups, version 2: one tree for all controllers, parts of which may be delegated to us."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.worker import cgroup
from orrery.worker.limits import PERIOD_MICROSECONDS, WEIGHT_PER_CPU
from orrery.worker.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orrery.worker.limits import Limits

CONTROLLERS = ("memory", "cpu", "pids")
#: A group cannot have both processes and limited groups below it: who is in ours moves into this one.
PLATFORM = "orrery-platform"


class GroupV2:
    """A task's group."""

    def __init__(self, folder: str, controllers: frozenset[str]) -> None:
        self._folder = folder
        self._controllers = controllers
        self.join = (f"{folder}/cgroup.procs",)

    def limit(self, limits: Limits) -> None:
        """Set the limits of the controllers that are there."""
        if "memory" in self._controllers:
            self._write("memory.max", limits.memory_bytes)
            self._try("memory.swap.max", 0)
            # Half a task is of no use: all of it ends, or nothing.
            self._try("memory.oom.group", 1)
        if "cpu" in self._controllers:
            self._write("cpu.weight", limits.cpu_weight)
            if (quota := limits.cpu_quota_microseconds) is not None:
                self._try("cpu.max", f"{quota} {PERIOD_MICROSECONDS}")
        if "pids" in self._controllers:
            self._write("pids.max", limits.pids)

    def usage(self, *, is_empty: bool = False) -> Usage:
        """Measure; a controller that is not there counts nothing. CPU time is always there."""
        current = peak = kills = 0
        if "memory" in self._controllers:
            stat = cgroup.entries(self._path("memory.stat"))
            cache = stat.get("inactive_file", 0) + stat.get("active_file", 0)
            kills = cgroup.entries(self._path("memory.events")).get("oom_kill", 0)
            current = max(0, cgroup.number(self._path("memory.current")) - cache)
            peak = cgroup.number(self._path("memory.peak"))  # Linux 5.19
            # The kernel's peak counts the file cache; after an out of memory there was none left to drop.
            peak = peak if kills else max(current, peak - cache)
        has_pids = "pids" in self._controllers and not is_empty
        return Usage(
            memory_bytes=current,
            memory_peak_bytes=peak,
            cpu_seconds=cgroup.entries(self._path("cpu.stat")).get("usage_usec", 0) / 1e6,
            oom_kills=kills,
            pids=cgroup.number(self._path("pids.current")) if has_pids else 0,
            refused_forks=cgroup.entries(self._path("pids.events")).get("max", 0) if has_pids else 0,
        )

    def members(self) -> list[int]:
        """Return who is within."""
        if cgroup.entries(self._path("cgroup.events")).get("populated", 1) == 0:
            return []
        return cgroup.pids_in(self._folder)

    def kill(self) -> None:
        """Kill all at once, forks included (Linux 5.14); else stop them first."""
        if not self._try("cgroup.kill", 1):
            self._try("cgroup.freeze", 1)
            cgroup.kill_pids(self.members)
            self._try("cgroup.freeze", 0)

    def remove(self) -> tuple[str, ...]:
        """Remove the group; return it if it stays busy."""
        return cgroup.remove_folders((self._folder,))

    def _path(self, file: str) -> str:
        return f"{self._folder}/{file}"

    def _write(self, file: str, value: object) -> None:
        cgroup.write(self._path(file), value)

    def _try(self, file: str, value: object) -> bool:
        return cgroup.try_write(self._path(file), value)


@dataclass(frozen=True, kw_only=True, slots=True)
class HierarchyV2:
    """The agent's group."""

    parent: Path
    #: Those that tasks' groups have; without any it still holds a task's processes together.
    controllers: frozenset[str]
    version: int = 2

    @property
    def folders(self) -> tuple[Path, ...]:
        """The one."""
        return (self.parent,)

    def create(self, name: str) -> GroupV2:
        """Make a task's group.

        Raises:
            OSError: there is one, or the kernel refuses.
        """
        folder = f"{self.parent}/{name}"
        Path(folder).mkdir()
        return GroupV2(folder, self.controllers)


def find(mounts: Iterable[cgroup.Mount], name: str, *, cores: float) -> tuple[HierarchyV2 | None, str]:
    """Return the agent's group of that name, made where the most is allowed; else None, and why."""
    mount = next((mount for mount in mounts if mount.version == 2), None)
    if mount is None:
        return None, "there is no cgroup of version 2"
    own = mount.own.parent if mount.own.name == PLATFORM else mount.own
    best: HierarchyV2 | None = None
    reason = ""
    for base in dict.fromkeys((own, mount.top)):
        if base != own and not _is_real_root(base):
            continue
        try:
            parent = base / name
            with suppress(FileExistsError):
                parent.mkdir()
        except OSError as error:
            reason = reason or f"{parent}: {error.strerror}"
            continue
        given = _enable(parent, _enable(base, CONTROLLERS, may_move=_is_delegated(base, mount)))
        if best is not None and len(given) <= len(best.controllers):
            cgroup.remove_folders((str(parent),), patience_seconds=0)
            continue
        if best is not None:
            cgroup.remove_folders((str(best.parent),), patience_seconds=0)
        best = HierarchyV2(parent=parent, controllers=frozenset(given))
    if best is None:
        return None, reason
    # All tasks together weigh as much as the machine has cores.
    cgroup.try_write(best.parent / "cpu.weight", min(10_000, max(1, int(cores * WEIGHT_PER_CPU))))
    if "memory" not in best.controllers:
        reason = f"{best.parent.parent} does not pass the memory controller on"
    return best, reason


def _enable(group: Path, wanted: Iterable[str], *, may_move: bool = False) -> tuple[str, ...]:
    """Give controllers to the groups below; return those that they have."""
    there = (cgroup.read(group / "cgroup.controllers") or "").split()
    wanted = [controller for controller in wanted if controller in there]
    control = group / "cgroup.subtree_control"
    missing = _missing(control, wanted)
    for controller in missing:
        cgroup.try_write(control, f"+{controller}")
    if may_move and _missing(control, wanted):
        _move_processes(group)
        for controller in missing:
            cgroup.try_write(control, f"+{controller}")
    left = _missing(control, wanted)
    return tuple(controller for controller in wanted if controller not in left)


def _missing(control: Path, wanted: Iterable[str]) -> list[str]:
    given = (cgroup.read(control) or "").split()
    return [controller for controller in wanted if controller not in given]


def _move_processes(group: Path) -> None:
    """Move all who are in a group into one below it: only then may it limit groups."""
    platform = group / PLATFORM
    with suppress(OSError):
        platform.mkdir()
    for _ in range(10):  # some fork meanwhile
        pids = (cgroup.read(group / "cgroup.procs") or "").split()
        moved = [cgroup.try_write(platform / "cgroup.procs", pid) for pid in pids]
        if not any(moved):
            return


def _is_delegated(group: Path, mount: cgroup.Mount) -> bool:
    """Tell whether a group was handed to us to order as we like: by systemd, or as a container's own tree."""
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError, AttributeError):
            if os.getxattr(group, name) == b"1":
                return True
    return group == mount.top and not _is_real_root(group)


def _is_real_root(group: Path) -> bool:
    # Only the machine's root group has no type; it alone may have both processes and limited groups.
    return group.is_dir() and not (group / "cgroup.type").exists()
