"""A lock between processes: whoever holds the file may change what it guards."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orrery.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def held(path: Path, *, waiting: Callable[[], None]) -> Iterator[int]:
    """Hold the lock `path` for the length of a `with`; yield its file descriptor.

    `waiting` is called once when another process holds it. The kernel frees the lock when the last
    process that has the descriptor ends, however it ends: hand it to a child that must be waited
    for (`process.run(keep_open=...)`). The empty file stays: removing it would let two in.

    Raises:
        MachineError: the lock file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MachineError(
            f"Cannot write in '{path.parent}': {error.strerror}.",
            hint="Give yourself write permission there, or free some disk space.",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
