"""The executor's end of the connection to one agent."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from orrery.executor.protocol import Hello, Lines, encode

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from orrery.executor.protocol import Measured, NodeStatus, RunningHere, ToAgent

_CONNECT_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)


class Link:
    """The connection to one agent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket: socket.socket | None = None
        self.status: NodeStatus | None = None
        self.measured: Measured | None = None
        self.heard_at: datetime | None = None
        #: What occupies the node, of all schedulers, by id.
        self.here: dict[str, RunningHere] = {}
        self.lines = Lines()
        self.is_ready = False
        self.lost_at: float | None = None
        self.failures = 0
        self.next_try = 0.0
        self.problem = ""
        self._unsent = b""

    @property
    def name(self) -> str:
        """The node's name; the path while the agent has never told one."""
        return self.status.name if self.status is not None else str(self.path)

    def connect(self, scheduler: str) -> socket.socket | None:
        """Try to connect; return the socket when connected."""
        end = socket.socket(socket.AF_UNIX)
        try:
            end.settimeout(1.0)
            end.connect(str(self.path))
            end.setblocking(False)
        except OSError as error:
            end.close()
            self.problem = f"{self.path}: {error.strerror or error}"
            self.pause()
            return None
        self.socket = end
        self.lines = Lines()
        self._unsent = b""
        self.problem = ""
        self.send(Hello(scheduler=scheduler))
        return end

    def pause(self) -> None:
        """Try again later, the more so the longer no agent has told its status."""
        self.next_try = time.monotonic() + _CONNECT_PAUSES[min(self.failures, len(_CONNECT_PAUSES) - 1)]
        self.failures += 1

    def send(self, message: ToAgent) -> None:
        """Send a message, or keep what the socket does not take now."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send what is left."""
        if self.socket is None:
            return
        with contextlib.suppress(OSError):  # a closed one is noticed when read
            while self._unsent:
                sent = self.socket.send(self._unsent)
                self._unsent = self._unsent[sent:]

    @property
    def wants_to_send(self) -> bool:
        """Whether something is left to send."""
        return bool(self._unsent) and self.socket is not None

    def close(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.is_ready = False
        if self.lost_at is None:
            self.lost_at = time.monotonic()
