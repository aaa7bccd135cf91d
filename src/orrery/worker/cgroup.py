"""Control groups: what versions 1 and 2 have in common, and where this process is in them."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orrery.worker.limits import Limits
    from orrery.worker.usage import Usage

#: How long the kernel is given to end killed processes, and to let go of their group.
PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.002


class Group(Protocol):
    """The cgroup of one task; with version 1 one in each hierarchy."""

    @property
    def join(self) -> tuple[str, ...]:
        """Files that move the process which writes 0 to them."""

    def limit(self, limits: Limits) -> None:
        """Set what the kernel shall enforce, as far as its controllers are there."""

    def usage(self, *, is_empty: bool = False) -> Usage:
        """Measure; of an empty one not what only the living have: a number, and forks that were refused."""

    def members(self) -> list[int]:
        """Return the PIDs of all living processes within."""

    def kill(self) -> None:
        """Kill all processes within, and let no new ones appear. Returns before they have ended."""

    def remove(self) -> tuple[str, ...]:
        """Remove it with all below; return the paths that remain."""


class Hierarchy(Protocol):
    """The agent's own cgroup, in which each task gets one."""

    @property
    def version(self) -> int:
        """1 or 2."""

    @property
    def controllers(self) -> frozenset[str]:
        """Those of memory, cpu, cpuacct (CPU time) and pids that work."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where it is: kept for the agent that comes after a crash."""

    def create(self, name: str) -> Group:
        """Make a group for one task.

        Raises:
            OSError: there is one of that name, or the kernel refuses.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """A mounted cgroup hierarchy, and the folder in it that stands for this process."""

    version: int
    controllers: frozenset[str]
    top: Path
    own: Path


def mounts(root: Path = Path("/")) -> list[Mount]:
    """Return the hierarchies that are mounted; `root` is where /proc and /sys are looked for."""
    memberships = dict(_memberships(read(root / "proc/self/cgroup") or ""))
    found = []
    for line in (read(root / "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        fields = before.split()
        subtree, top = fields[3], root / fields[4].lstrip("/")
        names = frozenset() if kind == "cgroup2" else frozenset(options.split()[-1].split(","))
        path = next((memberships[name] for name in names if name in memberships), None)
        if kind == "cgroup2":
            path = memberships.get("")
        found.append(
            Mount(
                version=2 if kind == "cgroup2" else 1,
                controllers=names,
                top=top,
                own=_folder(top, subtree, path or "/"),
            )
        )
    return found


def _memberships(text: str) -> Iterator[tuple[str, str]]:
    """Yield (controller, path); version 2 has no controller's name."""
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            yield name, path


def _folder(top: Path, subtree: str, path: str) -> Path:
    """Return our folder: a container's mount shows a part of the tree, its paths may be the host's."""
    if subtree != "/" and (path == subtree or path.startswith(f"{subtree}/")):
        path = path[len(subtree) :]
    folder = top / path.lstrip("/")
    return folder if folder.is_dir() else top


def read(path: str | Path, *, in_one_piece: bool = False) -> str | None:
    """Return a kernel file's text; None: it cannot be read.

    What the kernel writes `in_one_piece` is read by one call. Each call lets another of the agent's threads
    run, and this one wait for its turn again.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
            if in_one_piece:
                break
        return b"".join(parts).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def number(path: str | Path) -> int:
    """Return the number in a kernel file; 0 if there is none."""
    text = (read(path, in_one_piece=True) or "").strip()
    return int(text) if text.isdigit() else 0


def entries(path: str | Path) -> Mapping[str, int]:
    """Return a kernel file's lines `name number`."""
    found = {}
    for line in (read(path, in_one_piece=True) or "").splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def write(path: str | Path, value: object) -> None:
    """Write to a kernel file.

    Raises:
        OSError: it is not there, or the kernel refuses.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def try_write(path: str | Path, value: object) -> bool:
    """Write to a kernel file; tell whether it took it."""
    try:
        write(path, value)
    except OSError:
        return False
    return True


def pids_in(folder: str | Path) -> list[int]:
    """Return the PIDs in a group and in those below it."""
    found: list[int] = []
    for group in tree(folder):
        found += [int(line) for line in (read(f"{group}/cgroup.procs") or "").split()]
    return found


def tree(folder: str | Path) -> list[str]:
    """Return a group and those below it, the deepest first. A task may have made some of its own."""
    try:
        with os.scandir(folder) as listing:
            below = [entry.path for entry in listing if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [path for child in below for path in tree(child)] + [str(folder)]


def kill_pids(members: Callable[[], list[int]], sent: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to each, as they are now."""
    for pid in members():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sent)


def remove_folders(
    folders: tuple[str, ...], *, patience_seconds: float = PATIENCE_SECONDS
) -> tuple[str, ...]:
    """Remove groups with all below; those that stay busy are returned."""
    end = time.monotonic() + patience_seconds
    left = [path for folder in folders for path in _removable(folder)]
    while left := [path for path in left if not _remove(path)]:
        if time.monotonic() > end:
            break
        time.sleep(_PAUSE_SECONDS)
    return tuple(left)


def _removable(folder: str) -> list[str]:
    # Mostly there is nothing below: then the tree need not be read.
    return [] if _remove(folder) else tree(folder)


def _remove(path: str) -> bool:
    try:
        Path(path).rmdir()
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


def wait_until_empty(
    members: Callable[[], list[int]],
    kill: Callable[[], None],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> list[int]:
    """Kill until nobody is left; return who is still there at the end of our patience."""
    end = time.monotonic() + patience_seconds
    while left := members():
        if time.monotonic() > end:
            break
        kill()
        time.sleep(_PAUSE_SECONDS)
    return left
