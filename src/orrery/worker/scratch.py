"""A task's private temporary folder: made empty, removed whatever the task has made of it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from orrery.worker import kernel

if TYPE_CHECKING:
    from pathlib import Path

    from orrery.worker.cell_spec import UnixUser


def create(folder: Path, user: UnixUser | None = None) -> None:
    """Make a folder that only the task's user may enter.

    Raises:
        OSError: there is one, or it cannot be made or given to the user.
    """
    folder.mkdir(0o700)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def size_bytes(folder: Path, *, most_entries: int = 200_000) -> int:
    """Return how much disk a folder's files take; links are not followed, nor other file systems entered.

    Of a huge tree only so many entries are looked at.
    """
    total = looked_at = 0
    pending = [str(folder)]
    with suppress(OSError):
        device = os.lstat(folder).st_dev
    while pending and looked_at < most_entries:
        with suppress(OSError), os.scandir(pending.pop()) as listing:
            for entry in listing:
                looked_at += 1
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device:
                        continue
                    # A file with two names is there once; what is divided evenly adds up.
                    total += found.st_blocks * 512 // (found.st_nlink if stat.S_ISREG(found.st_mode) else 1)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
    return total


def remove(folder: Path) -> tuple[str, ...]:
    """Remove a folder with all that is in it; return what could not be removed.

    Links are removed, not followed; mounts are taken away, and what is behind one that stays is not
    touched; folders without rights are opened first. Neither depth nor number of files matters.
    """
    with suppress(OSError):
        folder.rmdir()  # most tasks leave nothing
        return ()
    if not os.path.lexists(folder):
        return ()
    busy = [path for path in _mounts_below(folder) if not _unmount(path)]
    if busy:
        return tuple(busy)
    try:
        top = _open(str(folder))
    except OSError as error:
        return (f"{folder}: {error.strerror}",)
    try:
        left = _empty(top, str(folder))
    except OSError as error:
        left = [f"{folder}: {error.strerror}"]
    finally:
        os.close(top)
    with suppress(FileNotFoundError):
        try:
            folder.rmdir()
        except OSError as error:
            left = left or [f"{folder}: {error.strerror}"]
    return tuple(left)


def _empty(top: int, shown: str) -> list[str]:
    """Empty a folder that is open, without recursion: what is deep is moved up before it is emptied."""
    left: list[str] = []
    serial = 0
    pending = [(name, shown) for name in _clear(top, shown, left)]
    while pending:
        name, path = pending.pop()
        try:
            descriptor = _open(name, top)
        except OSError as error:
            left.append(f"{path}/{name}: {error.strerror}")
            continue
        try:
            for below in _clear(descriptor, f"{path}/{name}", left):
                serial += 1
                moved = f".orrery-{serial}"
                try:
                    _allow(below, descriptor)
                    os.rename(below, moved, src_dir_fd=descriptor, dst_dir_fd=top)
                except OSError as error:
                    left.append(f"{path}/{name}/{below}: {error.strerror}")
                else:
                    pending.append((moved, path))
        finally:
            os.close(descriptor)
        with suppress(OSError):  # not empty: what is in it was named above
            os.rmdir(name, dir_fd=top)
    return left


def _clear(folder: int, shown: str, left: list[str]) -> list[str]:
    """Remove a folder's files; return the names of the folders in it."""
    folders = []
    for name in os.listdir(folder):
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                folders.append(name)
            else:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"{shown}/{name}: {error.strerror}")
    return folders


def _open(path: str, parent: int | None = None) -> int:
    """Open a folder, never a link to one, with the right to empty it."""
    _allow(path, parent)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def _allow(path: str, parent: int | None) -> None:
    found = os.stat(path, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o700 != 0o700:
        with suppress(OSError):
            os.chmod(path, 0o700, dir_fd=parent)


def _mounts_below(folder: Path) -> list[str]:
    """Return mounts in a folder, the latest first."""
    top = os.path.realpath(folder)
    found = []
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        for line in file:
            target = line.split()[4].encode().decode("unicode_escape")
            if target.startswith(f"{top}/"):
                found.append(target)
    return found[::-1]


def _unmount(target: str) -> bool:
    try:
        kernel.unmount(target)
    except OSError:
        return False
    return True
