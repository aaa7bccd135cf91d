"""What a dead agent leaves behind, removed by the one that follows: processes, cgroups, temporary folders."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.errors import StateError
from orrery.worker import cgroup, processes, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE_FILE = "cells.json"


def lock(state_dir: Path) -> int:
    """Take the folder for this agent, as long as it lives. Its children do not hold the lock."""
    descriptor = os.open(state_dir / "cells.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StateError(
            f"Another agent uses {state_dir}.", hint="Stop it first, or give this one a folder of its own."
        ) from None
    return descriptor


def remember(state_dir: Path, folders: tuple[Path, ...]) -> None:
    """Note where our groups are: the next agent may be started in another cgroup."""
    known = [path for path in _remembered(state_dir) if path.is_dir()]
    text = json.dumps(sorted({*map(str, known), *map(str, folders)}))
    (state_dir / _STATE_FILE).write_text(text, encoding="utf-8")


def _remembered(state_dir: Path) -> list[Path]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((state_dir / _STATE_FILE).read_text(encoding="utf-8"))
        # Whatever that file says, we remove nothing but cgroups of ours.
        tops = tuple(str(mount.top) + "/" for mount in cgroup.mounts())
        ours = [
            path for path in map(Path, found) if path.name.startswith("orrery-") and ".." not in path.parts
        ]
        return [path for path in ours if str(path).startswith(tops)]
    return []


def remove(state_dir: Path, marks: range) -> tuple[str, ...]:
    """Remove the processes, groups and temporary folders of an agent that has died."""

    def members() -> list[int]:
        return [pid for pids in processes.marked(marks).values() for pid in pids]

    stuck = cgroup.wait_until_empty(members, partial(cgroup.kill_pids, members))
    left = [f"process {pid}" for pid in stuck]
    # The groups themselves too: this agent may have been started in another place.
    parents = tuple(_remembered(state_dir))
    left += remove_groups(parents)
    cgroup.remove_folders(tuple(map(str, parents)), patience_seconds=0)
    for folder in _folders_in(state_dir / "scratch"):
        left += scratch.remove(folder)
    return tuple(left)


def remove_groups(parents: tuple[Path, ...]) -> tuple[str, ...]:
    """Empty and remove the groups below the agent's own; without those there is no harm in them."""
    left: list[str] = []
    for parent in parents:
        for folder in map(str, _folders_in(parent)):
            members = partial(cgroup.pids_in, folder)
            stuck = cgroup.wait_until_empty(members, partial(cgroup.kill_pids, members))
            left += [f"process {pid}" for pid in stuck]
            left += cgroup.remove_folders((folder,))
    return tuple(left)


def _folders_in(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
