"""A spare: a child that was forked ahead of its task, so that the next task need not wait for a fork.

It has done nothing yet but wait at its end of a channel of its own. It ends when that is closed.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from orrery.worker import channel

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

#: A spare that no task has needed for so long ends: it holds some MB.
KEPT_SECONDS = 5.0


class Spare:
    """The zygote's side of a spare."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self._end = end
        self._ends_at = time.monotonic() + KEPT_SECONDS

    @property
    def seconds_left(self) -> float:
        """How long it is still kept, in seconds, zero or more."""
        return max(0.0, self._ends_at - time.monotonic())

    def give(self, message: dict[str, Any], files: Sequence[int]) -> bool:
        """Give it its task; False if it has ended, so that somebody else must do it."""
        try:
            channel.send(self._end, message, files)
        except OSError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Let it go: without a task it ends."""
        with contextlib.suppress(OSError):
            self._end.close()
